// The declarations that a program gets with `import 'onnx-condense'` name no type of Node, which it may not have installed.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { expect, it } from '@jest/globals'

const entry = resolve('dist/index.d.ts')
const ofNode = /\b(Buffer|NodeJS\.\w+)\b|from ["']node:[\w/]+["']|import\(["']node:[\w/]+["']\)/g

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')

/** The declarations that others lead to, each with what it says. */
function reachable(): Map<string, string> {
  const found = new Map<string, string>()
  const queue = [entry]
  for (const path of queue) {
    if (found.has(path)) continue
    const text = withoutComments(readFileSync(path, 'utf8'))
    found.set(path, text)
    for (const [, target] of text.matchAll(/["'](\.{1,2}\/[^"']+)["']/g))
      queue.push(join(dirname(path), target!.replace(/\.[jt]s$/, '.d.ts')))
  }
  return found
}

const itWhenBuilt = existsSync(entry) ? it : it.skip

itWhenBuilt('name no type of Node', () => {
  const files = reachable()
  expect(files.size).toBeGreaterThan(50)
  const naming = [...files].flatMap(([path, text]) =>
    [...text.matchAll(ofNode)].map(([name]) => `${path}: ${name}`),
  )
  expect(naming).toEqual([])
})
