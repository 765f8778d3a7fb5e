// The measuring processes; they run what `npm run build` made of the sources.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { Interrupted } from '../../base/errors.ts'
import { type CellProcess, explainEnd, startCell } from '../../benchmarks/cell-process.ts'
import { openPredictions } from '../../benchmarks/predictions-file.ts'
import { inFile } from '../../benchmarks/test-data.ts'
import { predict } from '../../runtime/predict.ts'
import { linearModel, temporaryFolder, threeClasses } from '../support/measured.ts'

const folder = temporaryFolder()
const data = threeClasses(70)
const recipe = inFile(data.recipe, join(folder, 'test.records'))
const all = {
  indices: Uint32Array.from({ length: data.size }, (_, i) => i),
  outputs: 'first',
} as const
const good = await linearModel(join(folder, 'good.onnx'))

const open = async (cell: CellProcess, path = good, provider: 'cpu' | 'wasm' = 'cpu') =>
  await cell.ask('open', { path, where: 'model', provider, threads: 1, data: recipe })

async function withCell<Result>(use: (cell: CellProcess) => Promise<Result>): Promise<Result> {
  const cell = startCell()
  try {
    return await use(cell)
  } finally {
    await cell.close()
  }
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('a measuring process', () => {
  it.each(['cpu', 'wasm'] as const)('computes on %s what this process does', async (provider) => {
    const outputs = await withCell(async (cell) => {
      await open(cell, good, provider)
      return await cell.ask('predict', all)
    })
    const { row: _, size: __, ...expected } = await predict(good, data)
    expect(outputs).toEqual(expected)
  })

  it('predicts for the samples that it is asked for, and writes those for all to a file', async () => {
    const path = join(folder, 'all.predictions')
    const [{ outputs, width }, written] = await withCell(async (cell) => {
      await open(cell)
      const some = { indices: Uint32Array.of(69, 3), outputs: 'first' } as const
      return [
        await cell.ask('predict', some),
        await cell.ask('predictAll', { path, outputs: 'first' }),
      ]
    })
    const expected = await predict(good, data)
    expect(width).toBe(3)
    expect([...outputs]).toEqual([...expected.row(69), ...expected.row(3)])
    expect(written).toEqual({ path, size: 70, width: 3, widths: [3] })
    const found = openPredictions(written)
    for (const index of [69, 0, 35]) expect(found.row(index)).toEqual(expected.row(index))
  })

  it('times runs, counts operations, says where nodes run, and tells its own peak of memory, not that of its parent', async () => {
    const ballast = Buffer.alloc(2 ** 29, 1)
    await withCell(async (cell) => {
      const { fixedBatch, peakMemoryBytes } = await open(cell)
      expect(fixedBatch).toBeUndefined()
      expect(peakMemoryBytes).toBeGreaterThan(2 ** 24)
      expect(peakMemoryBytes).toBeLessThan(ballast.length)
      const indices = Uint32Array.of(1, 2, 3)
      await cell.ask('warm', { batch: 2, indices, budgetMs: 10 })
      const timed = await cell.ask('time', { runs: 7, budgetMs: 1000 })
      expect(timed.times).toHaveLength(7)
      expect(timed.times.every((ms) => ms > 0)).toBe(true)
      expect(timed.runs).toBe(9)
      expect(timed.modelMs).toBeGreaterThan(timed.times.reduce((sum, ms) => sum + ms))
      // Four numbers in, twelve weights, three numbers out.
      expect(await cell.ask('cost', {})).toEqual({ macs: 12, bytesMoved: (4 + 12 + 3) * 4 })
      const { sessionMs, firstRunMs } = await cell.ask('start', {})
      expect(Math.min(sessionMs, firstRunMs)).toBeGreaterThan(0)
      expect(await cell.ask('placement', {})).toEqual({ nodesOnProvider: 1, nodesElsewhere: 0 })
    })
  })

  it('says what keeps a model from fitting the samples', async () => {
    const wide = await linearModel(join(folder, 'wide.onnx'), { inputs: 5 })
    await withCell(async (cell) => {
      await expect(open(cell, wide)).rejects.toMatchObject({
        message: expect.stringContaining('does not fit the data: one sample is [4]'),
        user: true,
      })
    })
  })
})

describe('when a measuring process fails', () => {
  it.each([
    ['SIGKILL', 'its process was killed (SIGKILL), most likely for want of memory'],
    ['SIGSEGV', 'its process crashed (SIGSEGV)'],
    ['SIGABRT', 'its process crashed (SIGABRT)'],
  ] as const)('%s becomes a reason', async (signal, reason) => {
    await withCell(async (cell) => {
      await open(cell)
      await cell.ask('warm', { batch: 1, indices: all.indices, budgetMs: 1 })
      const answer = cell.ask('time', { runs: 1e6, budgetMs: 60_000 })
      process.kill(cell.pid!, signal)
      await expect(answer).rejects.toThrow(reason)
      await expect(cell.ask('predict', all)).rejects.toThrow(reason)
    })
  })

  it.each([
    [
      'an uncaught error',
      "file:///x.mjs:2\nthrow new Error('broken')\n      ^\n\nError: the model is broken\n    at file:///x.mjs:2:7 {\n  [cause]: TypeError: inner\n      at file:///x.mjs:1:11\n}\n\nNode.js v20.20.2\n",
      'the model is broken',
    ],
    [
      'an error with a code',
      "node:internal/modules/esm/resolve:873\n  throw new ERR_X();\n        ^\n\nTypeError [ERR_X]: no package\n    at resolve (node:x:1:2) {\n  code: 'ERR_X'\n}\n\nNode.js v20.20.2\n",
      'TypeError [ERR_X]: no package',
    ],
    [
      'a C++ exception',
      "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no device\n",
      'no device',
    ],
    [
      'a line of its own',
      'first\nthe driver is too old\n\nNode.js v20.20.2\n',
      'the driver is too old',
    ],
  ])('the reason is the line that tells it: %s', (_, said, reason) => {
    expect(explainEnd(1, null, said)).toBe(`its process ended with exit code 1: ${reason}`)
  })

  it('silence becomes a reason', async () => {
    const cell = startCell({ silenceMs: 3000 })
    await open(cell)
    process.kill(cell.pid!, 'SIGSTOP')
    await expect(cell.ask('predict', all)).rejects.toThrow('it gave no answer for 3 s')
    await cell.close()
    expect(isAlive(cell.pid!)).toBe(false)
  })

  it('aborting ends it at once', async () => {
    const abort = new AbortController()
    const cell = startCell({ signal: abort.signal })
    const answer = open(cell)
    abort.abort()
    await expect(answer).rejects.toThrow(Interrupted)
    await cell.close()
    expect(isAlive(cell.pid!)).toBe(false)
  })

  it('ends with its parent', async () => {
    const entry = resolve('dist/benchmarks/cell-process.js')
    const script = `
      const { startCell } = await import(${JSON.stringify(entry)})
      const cell = startCell()
      await cell.ask('cost', {}).catch(() => undefined)
      console.log(cell.pid)
      setInterval(() => undefined, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script])
    const [printed] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(printed.toString())
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    for (let wait = 0; wait < 100 && isAlive(pid); wait++)
      await new Promise((resume) => setTimeout(resume, 50))
    expect(isAlive(pid)).toBe(false)
  })
})
