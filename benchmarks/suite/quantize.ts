// How well and how fast a ResNet-20 (CIFAR-10) is stored in 8 bits, beside onnxruntime's own tools where they are to be
// had: accuracy, bytes, the latency of the results, and time and memory of quantizing with 512 images.
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { UserError } from '../../base/errors.ts'
import type { Dataset, Splits } from '../../data/dataset.ts'
import { openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { dataOptions } from '../../data/sources.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { elements, Tensor } from '../../onnx/tensor.ts'
import { feederFor } from '../../runtime/feed.ts'
import { withSession } from '../../runtime/session.ts'
import { race, raceRatio } from '../race.ts'
import { type PythonScript, pythonScript } from './python.ts'
import type { Answer, Question } from './question.ts'

const run = promisify(execFile)

const rounds = 3
const images = 512
const shape = [3, 32, 32] as const
const imageSize = 3 * 32 * 32
const file = resolve('..', 'shared', 'models', 'conv-distiller-resnet20-dense-cifar10.onnx')

/** Our methods of calibration, each with its name in the peer's tools. */
const methods = { minmax: 'MinMax', entropy: 'Entropy', percentile: 'Percentile' } as const

/** What the results are raced at. */
const races = [
  { batch: 1, threads: 1 },
  { batch: 64, threads: 2 },
] as const

/** Quantizes in a process of its own; like the peer, which imports and reads before its time is taken. */
const script = `
const [base, model, images, method, result] = process.argv.slice(1)
const { existsSync, readFileSync, mkdtempSync, rmSync } = await import('node:fs')
const load = (path) => import(new URL(path, base))
const { loadModel } = await load('onnx/load.js')
const { saveModel } = await load('onnx/save.js')
const { quantize } = await load('stages/quantize/index.js')
const { tasks } = await load('tasks/index.js')
const bytes = readFileSync(images)
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
const width = ${imageSize}
const calibration = {
  size: values.length / width, columns: [{ name: 'input', dtype: 'float32', shape: [${shape}] }], fingerprint: method,
  read: (index, column, into, at) => into.set(values.subarray(index * width, (index + 1) * width), at),
}
const teacher = await loadModel(model)
const folder = mkdtempSync(result)
const options = quantize.options.parse({ stage: 'quantize', scheme: 'static', calibration: { method } })
const context = {
  teacher, task: tasks.classification, variant: async () => teacher, data: { calibration }, seed: 1, threads: 2,
  provider: 'cpu', folder, shared: folder, signal: undefined, checkpointDue: () => false, log: () => undefined,
  progress: () => undefined,
}
const [start, before] = [process.hrtime.bigint(), process.cpuUsage()]
const { model: small } = await quantize.run({ model: teacher, facts: {} }, options, context)
await saveModel(small, result)
const ms = Number(process.hrtime.bigint() - start) / 1e6
const { user, system } = process.cpuUsage(before)
rmSync(folder, { recursive: true })
// On Linux maxRSS begins with the memory of the process that started this one.
const status = '/proc/self/status'
const peak = existsSync(status) ? /VmHWM:\\s*(\\d+)/.exec(readFileSync(status, 'utf8'))[1] : process.resourceUsage().maxRSS
const peakBytes = Number(peak) * 1024
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1e3, peakBytes }))
`

/** What quantizing took. */
interface Cost {
  readonly ms: number
  readonly cpuMs: number
  readonly peakBytes: number
}

/** Makes a file of 8 bits. */
interface Maker {
  readonly name: string
  make(method: keyof typeof methods, images: string, result: string): Promise<Cost>
}

/** ResNet-20 in 8 bits by three methods of calibration, ours and the peer's in turn. */
export const quantize: Question = {
  summary:
    'ResNet-20 in 8 bits, beside onnxruntime’s tools; ratios are of times, below 1 is faster',
  async *answer() {
    if (!existsSync(file)) return console.log(`  without an answer: ${file} is not here`)
    const folder = mkdtempSync(join(tmpdir(), 'condense-suite-'))
    try {
      yield* answers(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

async function* answers(folder: string): AsyncGenerator<Answer> {
  const { calibration, test } = await openImages(folder)
  const stored = join(folder, 'images.f32')
  writeFileSync(stored, imagesOf(calibration, images))
  const peer = pythonScript('onnxruntime-quantize.py', 'onnxruntime.quantization')
  if (typeof peer === 'string') console.log(`  without the peer: ${peer}`)
  const makers = [ours, ...(typeof peer === 'string' ? [] : [peerOf(peer)])]
  const float = await loadModel(file)
  yield accuracyOf('float', await shareRight(float, test))
  for (const method of Object.keys(methods) as (keyof typeof methods)[]) {
    const results = makers.map(({ name }) => join(folder, `${name}-${method}.onnx`))
    const costs = makers.map((): Cost[] => [])
    for (let round = 0; round < rounds; round++)
      for (const [index, { make }] of makers.entries())
        costs[index]!.push(await make(method, stored, results[index]!))
    const models = await Promise.all(results.map((path) => loadModel(path)))
    for (const [index, { name }] of makers.entries()) {
      const what = `${method}, ${name}`
      yield accuracyOf(what, await shareRight(models[index]!, test))
      yield { what, unit: 'kB', values: [statSync(results[index]!).size / 1000] }
      yield* costsOf(what, costs[index]!)
    }
    const [own, theirs] = costs
    if (theirs)
      for (const [what, of] of [
        ['time to the peer', ({ ms }: Cost) => ms],
        ['processor time to the peer', ({ cpuMs }: Cost) => cpuMs],
        ['memory to the peer', ({ peakBytes }: Cost) => peakBytes],
      ] as const)
        yield {
          what: `${method}, ${what}`,
          unit: 'times',
          values: own!.map((cost, round) => of(cost) / of(theirs[round]!)),
        }
    for (const settings of races)
      yield* await latencies(method, [float, ...models], makers, test, settings)
  }
}

const openImages = async (folder: string): Promise<Splits> =>
  (
    await openData(dataOptions.parse({ source: 'cifar10' }), {
      seed: 1,
      target: 'class',
      preprocess: preprocessOptions.parse({ mean: 0.5, std: 0.5 }),
      version: 'suite',
      calibration: images,
      cacheFolder: folder,
      dataFolder: process.env.CONDENSE_DATA,
      log: () => undefined,
    })
  ).splits

function imagesOf(samples: Dataset, count: number): Float32Array {
  const values = new Float32Array(count * imageSize)
  for (let index = 0; index < count; index++) samples.read(index, 0, values, index * imageSize)
  return values
}

const ours: Maker = {
  name: 'ours',
  make: (method, stored, result) =>
    costIn(process.execPath, [
      ...['--input-type=module', '-e', script],
      ...[new URL('../../', import.meta.url).href, file, stored, method, result],
    ]),
}

const peerOf = ({ program, script: peer }: PythonScript): Maker => ({
  name: 'peer',
  make: (method, stored, result) => costIn(program, [peer, file, stored, methods[method], result]),
})

async function costIn(program: string, list: readonly string[]): Promise<Cost> {
  try {
    const { stdout } = await run(program, list)
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Cost
  } catch (thrown) {
    const { stderr } = thrown as { readonly stderr?: string }
    const reason = stderr?.trim().split('\n').at(-1) ?? String(thrown)
    throw new UserError(`bench: ${basename(program)} failed: ${reason} — run it by itself`)
  }
}

const accuracyOf = (what: string, share: number): Answer => ({
  what: `${what}, accuracy`,
  unit: 'of 1',
  values: [share],
})

const costsOf = (what: string, costs: readonly Cost[]): readonly Answer[] => [
  { what: `${what}, time`, unit: 'ms', values: costs.map(({ ms }) => ms) },
  { what: `${what}, processor time`, unit: 'ms', values: costs.map(({ cpuMs }) => cpuMs) },
  {
    what: `${what}, peak memory`,
    unit: 'MB',
    values: costs.map(({ peakBytes }) => peakBytes / 1e6),
  },
]

/** The share of the samples whose class a model says. */
async function shareRight(model: Model, samples: Dataset): Promise<number> {
  return await withSession(model, {}, async (session) => {
    const feeder = feederFor(session, samples, { batch: 250, where: 'model' })
    const [output] = session.outputs
    let right = 0
    for (let start = 0; start < samples.size; start += feeder.batch) {
      const count = Math.min(feeder.batch, samples.size - start)
      feeder.load(Array.from({ length: count }, (_, row) => start + row))
      const { [output!.name]: scores } = await session.run(feeder.feeds(0), [output!.name])
      const values = elements(scores!, 'float32')
      const width = scores!.size / feeder.batch
      for (let row = 0; row < count; row++) {
        const own = values.subarray(row * width, (row + 1) * width)
        right += Number(own.indexOf(Math.max(...own)) === samples.labels[start + row])
      }
    }
    return right / samples.size
  })
}

/** The latency of each file over that of the float model, all in turn. */
async function latencies(
  method: string,
  models: readonly Model[],
  makers: readonly Maker[],
  test: Dataset,
  { batch, threads }: (typeof races)[number],
): Promise<Answer[]> {
  const values = imagesOf(test, batch)
  const tensor = new Tensor('float32', [batch, ...shape], new Uint8Array(values.buffer))
  const times = await race(
    models.map((model) => ({ model, feeds: { [model.graph.feeds[0]!.name]: tensor } })),
    { provider: 'cpu', threads, rounds: 20, roundMs: 100, seed: 1 },
  )
  return makers.map(({ name }, index) => ({
    what: `${method}, ${name} to float, batch ${batch}`,
    unit: 'times',
    values: [raceRatio(times[index + 1]!, times[0]!).value],
  }))
}
