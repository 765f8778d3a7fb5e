// Models with several inputs and outputs, of other kinds than floats, through bench, report and profile of the command line.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import { saveModel } from '../../../onnx/save.ts'
import { commandsIn } from '../../cli/program.ts'
import { temporaryFolder } from '../../pipeline/tiny.ts'

const folder = temporaryFolder()
const condense = commandsIn(folder)

/** A model with truths among its inputs and two outputs; a text goes through it, too, where asked for. */
async function write(name: string, { text = false } = {}): Promise<void> {
  const { model, g } = newModel(name)
  const chosen = g.input('chosen', { dtype: 'bool', shape: ['N', 3] })
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
  g.output('y', g.Where(chosen, g.Sin(x), x), { dtype: 'float32', shape: ['N', 3] })
  g.output('copy', g.Identity(chosen), { dtype: 'bool', shape: ['N', 3] })
  if (text) {
    const said = g.input('said', { dtype: 'string', shape: ['N', 1] })
    g.output('again', g.Identity(said), { dtype: 'string', shape: ['N', 1] })
  }
  await saveModel(model, join(folder, `${name}.onnx`))
}
await write('kinds')
await write('texts', { text: true })

it.each([
  ['kinds.onnx', 'Where'],
  ['../shared/models/optimum-test-asset.onnx', 'MatMul'],
])('%s is measured, shown and profiled', async (file, operator) => {
  const path = file.includes('/') ? resolve(file) : join(folder, file)
  if (!existsSync(path)) return console.warn(`skipped: ${path} is absent`)
  const bench = await condense('bench', path, '--seconds', '0.05', '-o', 'bench')
  expect(bench.stderr).not.toMatch(/Error/)
  expect(bench.status).toBe(0)
  const { teacher } = JSON.parse(readFileSync(join(folder, 'bench/report.json'), 'utf8'))
  expect(teacher.providers.cpu.p50Ms).toBeGreaterThan(0)
  const report = await condense('report', 'bench/report.json', '-o', 'again')
  expect([report.status, report.stderr]).toEqual([0, ''])
  expect(readFileSync(join(folder, 'again/report.html'), 'utf8')).toContain('</html>')
  const profile = await condense('profile', path)
  expect(profile.status).toBe(0)
  expect(profile.stdout).toContain(operator)
})

it.each(['bench', 'profile'])('%s tells that texts cannot be made up', async (command) => {
  const { status, stderr } = await condense(command, 'texts.onnx')
  expect(stderr).toMatch(/^texts\.onnx: input 'said' cannot be made up: it is string — [^\n]+\n$/)
  expect(status).toBe(2)
})
