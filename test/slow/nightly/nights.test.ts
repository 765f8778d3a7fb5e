// Whole nights with the real command: what really got worse is flagged by its name, what did not stays green.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { newModel } from '../../../onnx/build.ts'
import { saveModel } from '../../../onnx/save.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { isFlagged, type KeptNight } from '../../../pipeline/nightly/night.ts'
import { commandsIn, program, settingsOf } from '../../cli/program.ts'
import { temporaryFolder, tinyRecipe, tinyShape } from '../../pipeline/tiny.ts'

const folder = temporaryFolder()
const condense = commandsIn(folder)
const history = join(folder, 'nightly/history.db')

/** What is unlike all other nights. */
interface Change {
  readonly epochs?: number
  readonly rate?: number
  readonly width?: number
  readonly negations?: number
}

/** A student of two layers; pairs of negations cost time and change nothing. */
async function writeStudent({ width = 24, negations = 0 }: Change): Promise<void> {
  const { shape, classes } = tinyShape
  const { normal } = random(1, 'student')
  const weights = (rows: number, columns: number) =>
    tensorOf(
      'float32',
      [rows, columns],
      Float32Array.from({ length: rows * columns }, () => normal() / Math.sqrt(rows)),
    )
  const { model, g } = newModel('student')
  let x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  for (let count = 0; count < negations; count++) x = g.Neg(x)
  const hidden = g.Relu(g.MatMul(g.Flatten(x), weights(64, width)))
  const y = g.MatMul(hidden, weights(width, classes))
  g.output('y', y, { dtype: 'float32', shape: ['N', classes] })
  await saveModel(model, join(folder, 'student.onnx'))
}

/** The recipe and its student, as it is every night unless something is changed. */
async function write({ epochs = 4, rate = 0.02, ...student }: Change = {}): Promise<void> {
  await writeStudent(student)
  const optimizer = { name: 'adamw', rate }
  const distill = {
    stage: 'distill',
    id: 'student',
    student: { file: 'student.onnx' },
    epochs,
    batch: 32,
  }
  const latency = { batches: [1], threads: [1], rounds: 7, runs: 100, seconds: 0.5 }
  const recipe = {
    ...tinyRecipe,
    stages: [{ ...distill, optimizer }],
    benchmark: { providers: ['cpu'], latency, knowledge: false },
  }
  writeFileSync(join(folder, 'tiny.json'), JSON.stringify(recipe))
}

const suite = {
  name: 'nights',
  recipes: [{ recipe: 'tiny.json' }],
  measures: ['accuracy', 'latency', 'size'],
  baseline: { least: 5 },
}
writeFileSync(join(folder, 'suite.json'), JSON.stringify(suite))

/** A night: how it ended, and what it has flagged. */
async function night() {
  const { status, stdout, stderr } = await condense('nightly', 'suite.json', '--json')
  const last = stdout.trim().split('\n').at(-1) ?? ''
  if (!last.startsWith('{"event":"night"')) throw new Error(`no night: ${stderr}`)
  const { id, recipes } = (JSON.parse(last) as { night: KeptNight }).night
  const [{ failed, missing, figures }] = recipes as [KeptNight['recipes'][number]]
  if (failed !== undefined) throw new Error(failed)
  const flagged = [
    ...missing.map(({ variant, measure }) => `${variant} ${measure} missing`),
    ...figures
      .filter(isFlagged)
      .map(({ variant, measure, status: way }) => `${variant} ${measure} ${way}`),
  ]
  return { status, id, flagged }
}

const nights = 6

describe('nights', () => {
  it('of the same recipe are green', async () => {
    await write()
    for (let id = 1; id <= nights; id++)
      expect(await night()).toEqual({ status: 0, id, flagged: [] })
  })

  it('on a busy machine stay green', async () => {
    const busy = Array.from({ length: 3 }, () => spawn(process.execPath, ['-e', 'for (;;);']))
    try {
      expect(await night()).toMatchObject({ status: 0, flagged: [] })
    } finally {
      for (const child of busy) child.kill('SIGKILL')
    }
  })

  it.each([
    ['a slower student', { negations: 400 }, 'student latency worse'],
    ['a student that learned less', { epochs: 1, rate: 0.002 }, 'student accuracy worse'],
    ['a larger student', { width: 28 }, 'student size worse'],
  ] as const)('flag %s, and nothing of the teacher', async (_what, change, expected) => {
    await write(change)
    const { status, flagged } = await night()
    expect(status).toBe(3)
    expect(flagged).toContain(expected)
    expect(flagged.filter((each) => each.startsWith('teacher'))).toEqual([])
    // The others are named only where they changed, too: more operators are a larger file.
    expect(flagged.filter((each) => /accuracy|latency/.test(each) && each !== expected)).toEqual([])
  })

  it('says it in a line, and keeps the report', async () => {
    await write({ width: 28 })
    const { status, stdout } = await condense('nightly', 'suite.json')
    expect(status).toBe(3)
    expect(stdout).toMatch(/✗ tiny: student: size: worse: [\d.]+\s?kB, expected [\d.]+\s?kB/)
    expect(readFileSync(join(folder, 'nightly/trend.md'), 'utf8')).toMatch(/student: size/)
  })

  it('are green again when the cause is mended', async () => {
    await write()
    expect(await night()).toMatchObject({ status: 0, flagged: [] })
  })

  it('that are killed leave nothing in the history, and the next goes on', async () => {
    const before = readFileSync(history)
    const child = spawn(process.execPath, [program, 'nightly', 'suite.json'], {
      ...settingsOf(folder),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    // It has begun when it says so.
    await once(child.stderr, 'data')
    await setTimeout(500)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(readFileSync(history).equals(before)).toBe(true)
    expect(await night()).toMatchObject({ status: 0, flagged: [] })
  })

  it('refuse a damaged history before anything runs, and go on from a copy of it', async () => {
    const copy = join(folder, 'copy.db')
    copyFileSync(history, copy)
    const bytes = readFileSync(history)
    // Everything behind the first page.
    bytes.fill(0x5a, 4096)
    writeFileSync(history, bytes)
    const { status, stdout, stderr } = await condense('nightly', 'suite.json')
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^[^\n]*history\.db: [^\n]+ — [^\n]+\n$/)
    expect(readFileSync(history).equals(bytes)).toBe(true)
    copyFileSync(copy, history)
    expect(await night()).toMatchObject({ status: 0, flagged: [] })
  })
})
