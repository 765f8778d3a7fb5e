// Training steps, timed in a process of their own: `node train-cell.js ENGINE NAME THREADS BATCH DEPTH`, where DEPTH 0
// is the usual one. Reads a number of steps a line; writes their mean time in ms and the peak memory in bytes as JSON.
import { createInterface } from 'node:readline'
import { random } from '../../base/random.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { engines } from '../../train/engines/index.ts'
import { Stepper } from '../../train/stepper.ts'
import { classes, type TrainCase, type TrainCaseName, trainCases } from './train-models.ts'

const [engine, name, ...numbers] = process.argv.slice(2)
const [threads, batch, depth] = numbers.map(Number) as [number, number, number]
const entry: TrainCase = trainCases[name as TrainCaseName]
const { losses, optimizer, sample, vocabulary } = entry

const stepper = await Stepper.open({
  steps: 1000,
  definition: {
    model: entry.model(depth || undefined),
    forward: { batch, classes, losses, freeze: [], batchStatistics: true, dropout: true },
    update: { optimizer },
  },
  engine: engines[engine as keyof typeof engines],
  options: { provider: 'cpu', threads, sharesCores: false, log: () => undefined },
  seed: 1,
  rate: () => optimizer.rate,
  mostSteps: 100,
})

const { normal, integer } = random(1, 'suite')
const draw = (length: number, next: () => number) => Float32Array.from({ length }, () => next())
const size = batch * sizeOf(sample)
const inputs = vocabulary
  ? BigInt64Array.from({ length: size }, () => BigInt(integer(vocabulary)))
  : draw(size, normal)
const labels = Int32Array.from({ length: batch }, () => integer(classes))
const data = { inputs: [inputs], labels, size: batch, indices: Uint32Array.from(labels.keys()) }
const teacher = losses.some(({ loss }) => loss === 'kl')
const taught = teacher ? [draw(batch * classes, () => 3 * normal())] : undefined

let number = 0
/** Takes a number of steps; gives their mean time in ms. */
async function take(steps: number): Promise<number> {
  const start = process.hrtime.bigint()
  for (let step = 0; step < steps; step++) await stepper.take(number++, data, taught)
  await stepper.flush()
  return Number(process.hrtime.bigint() - start) / 1e6 / steps
}

// After so many steps it is settled whether several are taken at once.
await take(10)
console.log(JSON.stringify({ ready: true }))
for await (const line of createInterface({ input: process.stdin })) {
  const ms = await take(Number(line))
  console.log(JSON.stringify({ ms, peakBytes: process.resourceUsage().maxRSS * 1024 }))
}
await stepper.dispose()
