import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, it } from '@jest/globals'

// The architecture as a table: a folder may import only from those named here (and from itself).
const below = (...layers: string[]) => layers
const layers: Record<string, string[]> = {
  base: [],
  onnx: below('base'),
  runtime: below('base', 'onnx'),
  channels: below('base', 'onnx', 'runtime'),
  train: below('base', 'onnx', 'runtime'),
  data: below('base'),
  tasks: below('base', 'onnx', 'train', 'data'),
  models: below('base', 'onnx', 'runtime', 'channels', 'data'),
  benchmarks: below('base', 'onnx', 'runtime', 'train', 'data', 'tasks'),
}
layers.stages = [...Object.keys(layers)]
layers.pipeline = [...Object.keys(layers)]
layers.cli = [...Object.keys(layers)]

const outside = new Set(['test', 'dist', 'node_modules', 'docs', 'recipes', 'coverage', 'runs'])
const folders = readdirSync('.', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !outside.has(entry.name))
  .map((entry) => entry.name)

it('has a row for every folder of code', () => {
  expect(folders.filter((folder) => !(folder in layers))).toEqual([])
})

it.each(Object.entries(layers).filter(([layer]) => existsSync(layer)))(
  '%s imports only from the layers below it',
  (layer, allowed) => {
    const files = readdirSync(layer, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    )
    const strays = files.flatMap((file) =>
      [...readFileSync(`${layer}/${file}`, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)]
        .map(
          ([, specifier]) =>
            new URL(specifier!, `file:///${layer}/${file}`).pathname.split('/')[1]!,
        )
        .filter((target) => target !== layer && !allowed.includes(target))
        .map((target) => `${layer}/${file} imports ${target}/`),
    )
    expect(strays).toEqual([])
  },
)
