// The whole benchmark on models that are made here; measuring processes run from dist.
import { getEventListeners } from 'node:events'
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { Interrupted, UserError } from '../../base/errors.ts'
import { type BenchmarkRequest, benchmark } from '../../benchmarks/benchmark.ts'
import { checkReport } from '../../benchmarks/report/report.ts'
import { linearModel, type TestModel, temporaryFolder, threeClasses } from '../support/measured.ts'

const folder = temporaryFolder()
const workFolder = join(folder, 'work')
const data = threeClasses(300)

const subject = async (id: string, what: TestModel = {}) => ({
  id,
  stage: id === 'teacher' ? 'train' : 'prune',
  from: id === 'teacher' ? null : 'teacher',
  path: await linearModel(join(folder, `${id}.onnx`), what),
  file: `variants/${id}/model.onnx`,
})
const teacher = await subject('teacher', { gain: 3 })

const measure = (request: Partial<BenchmarkRequest>) =>
  benchmark({
    teacher,
    variants: [],
    data,
    providers: ['cpu'],
    latency: { batches: [1, 8], threads: [1], rounds: 3, runs: 4, seconds: 2 },
    knowledge: { samples: 16 },
    workFolder,
    seed: 1,
    ...request,
  })

/** The files that this process has open, where the system tells. */
const openFiles = (): string[] =>
  process.platform === 'linux'
    ? readdirSync('/proc/self/fd').flatMap((name) => {
        try {
          return [readlinkSync(`/proc/self/fd/${name}`)]
        } catch {
          return [] // the one that listed them
        }
      })
    : []

describe('benchmark', () => {
  it('leaves its listeners off the signal that it is given', async () => {
    const { signal } = new AbortController()
    const listeners = () => getEventListeners(signal, 'abort').length
    const counts: number[] = []
    await measure({
      variants: ['first', 'second', 'third'].map((id) => ({ ...teacher, id, from: 'teacher' })),
      latency: { batches: [1], threads: [1], rounds: 1, runs: 1, seconds: 0.001 },
      signal,
      onProgress: () => counts.push(listeners()),
    })
    // However many processes are alive, the caller's signal has one; Node warns of more than ten.
    expect(Math.max(...counts)).toBe(1)
    expect(listeners()).toBe(0)
  })

  it('fills a row of the report for every model', async () => {
    const progress: number[] = []
    const variants = await Promise.all([
      subject('same', { gain: 3, softmax: true }),
      subject('one-by-one', { batch: 1 }),
    ])
    const result = await measure({
      variants,
      providers: ['cpu', 'wasm', 'coreml'],
      onProgress: ({ done }) => progress.push(done),
    })
    expect(result.teacher).toMatchObject({
      file: 'variants/teacher/model.onnx',
      parameters: 12,
      nonzeroParameters: 3,
      macs: 12,
      accuracy: { top1: 1, perClass: { first: 1, second: 1, third: 1 } },
      retention: { accuracy: 1, agreement: 1, klDivergence: 0, mcnemarP: 1 },
      providers: {
        cpu: { available: true, nodesOnProvider: 1, nodesElsewhere: 0 },
        wasm: { available: true, agreementWithCpu: 1, agreementSamples: 256 },
        coreml: { available: false, reason: expect.stringContaining('macOS') },
      },
    })
    expect(result.teacher.providers.cpu?.measurements).toMatchObject([
      { batch: 1, threads: 1, runs: 12 },
      { batch: 8, threads: 1, runs: 12 },
    ])
    const [same, single] = result.variants
    // Probabilities are compared with the teacher's logits on one scale.
    expect(same?.retention?.klDivergence).toBeLessThan(1e-6)
    expect(same?.retention?.agreement).toBe(1)
    expect(single?.providers.cpu?.measurements).toMatchObject([{ batch: 1, threads: 1 }])
    const { value, interval } = single!.providers.cpu!.latencyRatio!
    expect(interval[0]).toBeLessThanOrEqual(value)
    expect(value).toBeLessThanOrEqual(interval[1])
    expect(progress).toEqual([...progress].sort((a, b) => a - b))
    checkReport({
      version: 1,
      name: 'test',
      createdAt: '2026-01-01T00:00:00Z',
      seed: 1,
      host: { cpu: '', cores: 1, memoryBytes: 0, node: '', onnxruntime: '', flags: [] },
      data: { source: '', train: 0, validation: 0, calibration: 0, test: 300, fingerprint: '' },
      pareto: [],
      gates: [],
      ...result,
    })
    expect(readdirSync(workFolder)).toEqual([])
    expect(openFiles().filter((path) => path.startsWith(workFolder))).toEqual([])
  })

  it('marks a variant that guesses, and one whose outputs are no numbers', async () => {
    const { variants } = await measure({
      knowledge: false,
      variants: [
        await subject('guesses', { gain: 0 }),
        await subject('nothing', { gain: Number.NaN }),
        await subject('misfit', { inputs: 5 }),
        await subject('labels', { outputs: 4 }),
      ],
    })
    expect('knowledge' in variants[0]!).toBe(false)
    const [guesses, nothing, misfit, labels] = variants
    expect(guesses?.failed).toMatch(/no better than guesses: top1 0\.3\d\d, guessing gives 0\.333$/)
    expect(guesses?.accuracy?.top1).toBeLessThan(0.5)
    expect(nothing?.failed).toBe('its outputs are not finite numbers')
    expect(nothing?.retention?.klDivergence).toBeNull()
    expect(misfit).toMatchObject({
      failed: expect.stringContaining('does not fit the data: one sample is [4]'),
      accuracy: null,
      retention: null,
      providers: {
        cpu: { available: false, reason: expect.stringContaining('one sample is [4]') },
      },
    })
    expect(labels?.failed).toMatch(/4 outputs for the 3 classes/)
  })

  it('refuses a teacher that does not fit the data', async () => {
    const wrong = { ...(await subject('wide', { inputs: 5 })), id: 'teacher', from: null }
    const refused: unknown = await measure({ teacher: wrong }).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(UserError)
    expect((refused as UserError).message).toContain('does not fit the data')
  })

  it('refuses a file that is no model', async () => {
    const path = join(folder, 'garbage.onnx')
    writeFileSync(path, 'not a model at all')
    const garbage = { ...teacher, id: 'garbage', from: 'teacher', path }
    await expect(measure({ variants: [garbage] })).rejects.toThrow(
      /garbage\.onnx: not an ONNX file/,
    )
  })

  it('ends at once when it is aborted, and leaves nothing behind', async () => {
    const abort = new AbortController()
    const aborted = measure({
      signal: abort.signal,
      latency: { rounds: 1000, seconds: 1000 },
      onProgress: ({ what }) => {
        if (what.includes('latency')) setTimeout(() => abort.abort(), 200)
      },
    })
    await expect(aborted).rejects.toThrow(Interrupted)
    expect(readdirSync(workFolder)).toEqual([])
  })
})
