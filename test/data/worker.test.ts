// The worker that makes batches; it runs what `npm run build` made of the sources.
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { openBatches } from '../../data/stream.ts'
import { hasWorkers } from '../../data/worker.ts'
import { datasetOf, imagesOf } from '../support/samples.ts'

/** What scenarios of worker.js come to in one process; one that does not end by itself is an error. */
async function runAll(...scenarios: string[]): Promise<unknown[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [resolve('test/data/worker.js'), ...scenarios],
    { timeout: 40_000 },
  )
  return JSON.parse(stdout)
}

const run = async (scenario: string) => (await runAll(scenario))[0]

/** Those that need no process of their own. */
const together = ['file', 'joined', 'interleaved', 'ahead', 'thrown', 'errors', 'free']
let found: Promise<unknown[]> | undefined
const runTogether = async (scenario: string) => {
  found ??= runAll(...together)
  return (await found)[together.indexOf(scenario)]
}

it('makes the same batches as the main thread, bit by bit, from any epoch and batch on', async () => {
  expect(await run('same')).toEqual({ differing: [], posted: true })
})

it('reads records from a file by itself', async () => {
  expect(await runTogether('file')).toEqual({ same: true, posted: true })
})

it('makes the same batches of some samples of two stores, the second without labels', async () => {
  expect(await runTogether('joined')).toEqual({ differing: [], posted: true })
})

it('makes two epochs side by side', async () => {
  expect(await runTogether('interleaved')).toBe(true)
})

it('is never more than two batches ahead', async () => {
  expect(await runTogether('ahead')).toEqual([3, 4, 5, 6, 7, 7, 7])
})

it('lets the process end, though an epoch was left and nothing closed', async () => {
  expect(await run('left')).toBe('left')
})

it('passes on what the loop throws', async () => {
  expect(await runTogether('thrown')).toBe('RangeError: stop')
})

it('passes on what goes wrong in it, and goes on where it can', async () => {
  const far =
    'UserError: augment.shift: as far as the image is wide, 11 x 11: 40 — use a smaller one'
  expect(await runTogether('errors')).toEqual([
    far,
    far,
    expect.stringMatching(/^Error: internal: sample \d+ read to offset 0 of 5$/),
    8,
    'Error: the worker that makes batches was closed',
    'Error: the worker that makes batches was closed',
  ])
})

it('turns a crash into an error', async () => {
  const failed = expect.stringMatching(/^Error: the worker that makes batches failed: ./)
  expect(await run('crash')).toEqual([failed, failed, failed])
})

it('leaves the event loop free', async () => {
  expect(await runTogether('free')).toBe(true)
})

it('is not started where nothing is changed', async () => {
  expect(await run('own')).toBe(0)
})

it('is not there for sources, which Node cannot run in a worker', () => {
  expect(hasWorkers).toBe(false)
})

it('shares the memory of samples', () => {
  const images = imagesOf(Uint8Array.of(1, 2), [1, 1, 1], { labels: Int32Array.of(0, 0) })
  const { place, recordBytes } = images.recipe.store
  const memory = 'memory' in place ? place.memory : undefined
  expect(memory?.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect([memory?.[0], memory?.[recordBytes]]).toEqual([1, 2])
})

it('refuses options that do not fit before anything is started', () => {
  const dataset = datasetOf({
    ...{ source: 'none', shape: [1, 4, 4], classes: ['a'], labels: Int32Array.of(0) },
    write: () => undefined,
  })
  const open = () => openBatches(dataset, { size: 1, augment: { shift: 4 } })
  expect(open).toThrow(UserError)
  expect(open).toThrow(/augment.shift: .* 4 x 4: 4/)
})
