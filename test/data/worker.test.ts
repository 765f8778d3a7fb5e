// The worker that makes batches; it runs what `npm run build` made of the sources.
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { hashed } from '../../data/images.ts'
import { openBatches } from '../../data/stream.ts'
import { hasWorkers } from '../../data/worker.ts'

/** What a scenario of worker.js comes to; a process that does not end by itself is an error. */
async function run(scenario: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [resolve('test/data/worker.js'), scenario],
    { timeout: 40_000 },
  )
  return JSON.parse(stdout)
}

it('makes the same batches as the main thread, bit by bit, from any epoch and batch on', async () => {
  expect(await run('same')).toEqual({ differing: [], posted: true })
})

it('makes two epochs side by side', async () => {
  expect(await run('interleaved')).toBe(true)
})

it('is never more than two batches ahead', async () => {
  expect(await run('ahead')).toEqual([3, 4, 5, 6, 7, 7, 7])
})

it('lets the process end, though an epoch was left and nothing closed', async () => {
  expect(await run('left')).toBe('left')
})

it('passes on what the loop throws', async () => {
  expect(await run('thrown')).toBe('RangeError: stop')
})

it('passes on what goes wrong in it, and goes on where it can', async () => {
  const far =
    'UserError: augment.shift: as far as the image is wide, 11 x 11: 40 — use a smaller one'
  expect(await run('errors')).toEqual([
    far,
    far,
    expect.stringMatching(/^Error: internal: sample \d+ of 50 read to offset 0$/),
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
  expect(await run('free')).toBe(true)
})

it('is not started where nothing is changed, or for samples of this thread alone', async () => {
  expect(await run('own')).toBe(0)
})

it('is not there for sources, which Node cannot run in a worker', () => {
  expect(hasWorkers).toBe(false)
})

it('shares the memory of images, and copies them where it is not shared', () => {
  const labels = Int32Array.of(0)
  const { samples } = hashed({ samples: Uint8Array.of(1, 2), labels })
  expect([...samples]).toEqual([1, 2])
  expect(samples.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect(hashed({ samples, labels }).samples).toBe(samples)
})

it('refuses options that do not fit before anything is started', () => {
  const dataset = {
    ...{ source: 'none', size: 1, shape: [1, 4, 4], classes: ['a'], fingerprint: 'none' },
    labels: Int32Array.of(0),
    read: () => undefined,
  }
  const open = () => openBatches(dataset, { size: 1, augment: { shift: 4 } })
  expect(open).toThrow(UserError)
  expect(open).toThrow(/augment.shift: .* 4 x 4: 4/)
})
