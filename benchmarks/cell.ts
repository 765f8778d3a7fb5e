// The entry of a measuring process: opens one model on one provider and does what the parent asks, a command at a
// time. It ends with its parent.
import { readFileSync, writeFileSync } from 'node:fs'
import { messageOf, UserError } from '../base/errors.ts'
import { pick, type Samples } from '../base/samples.ts'
import type { Dataset } from '../data/dataset.ts'
import { storedDataset } from '../data/stored-dataset.ts'
import { countBytesMoved } from '../onnx/bytes-moved.ts'
import { loadModel } from '../onnx/load.ts'
import { countMacs } from '../onnx/multiplications.ts'
import { bindInputs } from '../runtime/bind.ts'
import { browserPeakBytes } from '../runtime/browser/memory.ts'
import { predictEach, predictWith } from '../runtime/predict.ts'
import { providerNamed } from '../runtime/providers.ts'
import { openSession, type Session, withSession } from '../runtime/session.ts'
import { inferShapes } from '../runtime/shapes.ts'
import { energyCounter } from './energy.ts'
import { attack } from './knowledge/attack.ts'
import { changed } from './knowledge/changes.ts'
import { withFeatures } from './knowledge/features.ts'
import { columnReader, type GradientOf, gradientModel, withLabels } from './knowledge/gradients.ts'
import { layerTable } from './layers/table.ts'
import { placementOf } from './placement.ts'
import { type PredictionsFile, writePredictions } from './predictions-file.ts'
import type { AnswerMessage, CommandMessage, CommandName, ReplyOf, RequestOf } from './protocol.ts'
import { coldStart, type Stopwatch, settle, stopwatch, timeRuns, warmUp } from './timing.ts'

/** What `open` opened. */
interface Opened {
  readonly request: RequestOf<'open'>
  readonly session: Session
  readonly samples: Dataset
  readonly fixedBatch: number | undefined
}

const energy = energyCounter()

let opened: Opened | undefined
let watch: Stopwatch | undefined

function current(): Opened {
  if (!opened) throw new Error('internal: a command came before open')
  return opened
}

const handlers: {
  readonly [Name in CommandName]: (request: RequestOf<Name>) => Promise<ReplyOf<Name>>
} = {
  async open(request) {
    const { path, where, provider, threads } = request
    // Idle threads stop spinning within milliseconds, and processes are measured in turn.
    const session = await openSession(path, { provider, threads, where, spinning: threads > 1 })
    const samples = storedDataset(request.data)
    // One run with a real sample: checks that model and data fit, and makes the peak that of inference.
    await predictWith(session, pick(samples, Uint32Array.of(0)), { where })
    const { fixedBatch } = bindInputs(session.inputs, samples, where)
    opened = { request, session, samples, fixedBatch }
    const { browser, device } = providerNamed(provider)
    const peak = browser ? browserPeakBytes(device) : peakMemoryBytes()
    return { fixedBatch, peakMemoryBytes: peak }
  },

  async cost() {
    const { request, fixedBatch = 1 } = current()
    const model = await loadModel(request.path)
    await inferShapes(model, { batch: fixedBatch, where: request.where })
    const perSample = (whole: number | undefined) =>
      whole === undefined ? undefined : Math.round(whole / fixedBatch)
    return { macs: perSample(countMacs(model)), bytesMoved: perSample(countBytesMoved(model)) }
  },

  async layers({ data, ...request }) {
    return await layerTable(request, data && storedDataset(data))
  },

  async placement() {
    const { request, samples } = current()
    return await placementOf(request.path, request.provider, pick(samples, Uint32Array.of(0)))
  },

  async predict({ indices, outputs }) {
    const { request, session, samples } = current()
    const { where } = request
    const chosen = pick(samples, indices)
    const found = await predictWith(session, chosen, { where, outputs, progress: tellThatAlive })
    return { outputs: found.outputs, width: found.width, widths: found.widths }
  },

  async predictAll({ path, outputs }) {
    const { session, samples } = current()
    return await writeOutputs(session, samples, path, outputs)
  },

  async predictChanged({ path, outputs, indices, change }) {
    const { request, session, samples } = current()
    columnReader(session.inputs, samples, change.column, request.where)
    const chosen = await changed(samples, indices, change)
    try {
      return await writeOutputs(session, chosen, path, outputs)
    } finally {
      chosen.close()
    }
  },

  async features({ path, indices, value }) {
    const { request, samples } = current()
    const { where, provider, threads } = request
    const model = withFeatures(await loadModel(request.path), value, where)
    return await withSession(model, { provider, threads, where }, (session) =>
      writeOutputs(session, pick(samples, indices), path, 'first', widestFeatures),
    )
  },

  async gradients({ path, indices, labels, column, ...wanted }) {
    const { request, session, samples } = current()
    const { where, provider, threads } = request
    const { inputs } = session
    const chosen = pick(samples, indices)
    const settings = { ...wanted, inputs, samples: chosen, column, where }
    const model = await gradientModel(await loadModel(request.path), settings)
    return await withSession(model, { provider, threads, where }, (open) =>
      writeOutputs(open, labelled(open, wanted.of, chosen, labels), path, 'first'),
    )
  },

  async attack({ path, labels, size, steps, seed, ...wanted }) {
    const { request, session, samples } = current()
    const { where, provider, threads } = request
    const { indices, column } = wanted
    const settings = { ...wanted, inputs: session.inputs, samples: pick(samples, indices), where }
    const model = await gradientModel(await loadModel(request.path), settings)
    return await withSession(model, { provider, threads, where }, async (open) => {
      const plan = { indices, column, size, steps, seed }
      const found = await attack(samples, plan, async (moved) => {
        const fed = labelled(open, wanted.of, moved, labels)
        return (await predictWith(open, fed, { where, progress: tellThatAlive })).outputs
      })
      const writer = writePredictions(path)
      writer.add(found, [found.length / indices.length])
      return writer.finish(indices.length)
    })
  },

  async warm({ batch, indices, budgetMs }) {
    const { session, samples } = current()
    const { firstMs, ...ready } = await stopwatch(session, samples, { batch, indices })
    watch = ready
    const { times, runs, modelMs } = await warmUp(watch, budgetMs)
    return { times, runs: runs + 1, modelMs: modelMs + firstMs }
  },

  async settle() {
    // Nothing of native code goes on in the background, and a browser is another process.
    const { package: engine, browser } = providerNamed(current().request.provider)
    if (engine === 'onnxruntime-web' && !browser) await settle()
    return undefined
  },

  async time(request) {
    if (!watch) throw new Error('internal: time came before warm')
    const processor = process.cpuUsage()
    const stop = energy?.()
    const timed = await timeRuns(watch, request)
    const joules = stop?.()
    const { user, system } = process.cpuUsage(processor)
    return { ...timed, joules, processorMs: (user + system) / 1000 }
  },

  async start() {
    const { request, samples } = current()
    const { path, where, provider, threads } = request
    return await coldStart(path, { provider, threads, where }, pick(samples, Uint32Array.of(0)))
  },
}

/** A label for each sample, where the last input of a model of gradients asks for it. */
const labelled = (open: Session, of: GradientOf, samples: Samples, labels: Int32Array): Samples => {
  const last = open.inputs.at(-1)
  return of === 'cross-entropy' && last ? withLabels(samples, labels, last.name) : samples
}

/** Features of more numbers a sample are not worth their time. */
const widestFeatures = 2 ** 16

/** Runs a model over samples and writes its outputs to a file. */
async function writeOutputs(
  session: Session,
  samples: Samples,
  path: string,
  outputs: 'first' | 'all',
  widest = Number.POSITIVE_INFINITY,
): Promise<PredictionsFile> {
  const { where } = current().request
  const writer = writePredictions(path)
  const options = { where, outputs, progress: tellThatAlive }
  await predictEach(session, samples, options, (values, _start, count, widths) => {
    const width = values.length / count
    if (width > widest)
      throw new UserError(`${width} numbers a sample are more than ${widest} — tap a smaller value`)
    writer.add(values, widths)
  })
  return writer.finish(samples.size)
}

/** A process's own peak; where the system has it, not `maxRSS`, which starts at that of the parent on Linux. */
function peakMemoryBytes(): number {
  try {
    const peak = readFileSync('/proc/self/status', 'utf8').match(/^VmHWM:\s*(\d+) kB$/m)
    if (peak) return Number(peak[1]) * 1024
  } catch {
    // Only Linux has this file.
  }
  return process.resourceUsage().maxRSS * 1024
}

let told = process.hrtime.bigint()

/** Reports once a second at most, so that a long prediction is not taken for a hang. */
function tellThatAlive(): void {
  if (process.hrtime.bigint() - told < 1_000_000_000n) return
  told = process.hrtime.bigint()
  answer({ alive: true })
}

function answer(message: AnswerMessage): void {
  if (process.connected) process.send?.(message)
}

async function serve({ id, command, request }: CommandMessage): Promise<void> {
  try {
    // The table pairs each command with its own request, which the compiler loses at the look-up.
    const handler = handlers[command] as (request: unknown) => Promise<unknown>
    answer({ id, reply: await handler(request) })
  } catch (thrown) {
    answer({ id, error: { message: messageOf(thrown), user: thrown instanceof UserError } })
  }
}

/** Where memory runs out, the kernel should end this process and not its parent. */
function offerToTheKernel(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '500')
  } catch {
    // Only Linux has this file; it does no harm to go without.
  }
}

offerToTheKernel()
let turn = Promise.resolve()
process.on('message', (message) => {
  turn = turn.then(() => serve(message as CommandMessage))
})
// Ctrl-C reaches every process of the terminal; the parent decides what becomes of this one.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => process.exit())
process.on('disconnect', () => process.exit())
