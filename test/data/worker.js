// Runs one scenario with the compiled worker and prints what came of it as JSON:
//   node worker.js scenario
import { Worker } from 'node:worker_threads'
import { augmentOptions } from '../../dist/data/augment.js'
import { batches } from '../../dist/data/batches.js'
import { hashed, imageDataset } from '../../dist/data/images.js'
import { preprocessing, preprocessOptions } from '../../dist/data/preprocess.js'
import { openBatches } from '../../dist/data/stream.js'
import { startBatchWorker } from '../../dist/data/worker.js'

const size = 50
const samples = Uint8Array.from({ length: size * 3 * 9 * 9 }, (_, at) => (at * 7919) & 255)
const labels = Int32Array.from({ length: size }, (_, index) => index % 5)
const recipe = {
  source: 'made up',
  part: hashed({ samples, labels }),
  indices: Uint32Array.from({ length: size }, (_, index) => size - 1 - index),
  classes: ['a', 'b', 'c', 'd', 'e'],
  preprocessing: preprocessing(
    [3, 9, 9],
    preprocessOptions.parse({ mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4], pad: 1 }),
  ),
}
const dataset = imageDataset(recipe)
const everything = {
  ...{ flip: true, verticalFlip: 0.3, shift: 1, crop: { padding: 2, mode: 'reflect' } },
  ...{ resizedCrop: true, rotate: 20, grayscale: 0.2, noise: 0.05, erasing: true },
  colorJitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
  ...{ mixup: 0.3, cutmix: 1 },
}
const optionsOf = (augment, rest = {}) => ({
  ...{ size: 8, seed: 7, shuffle: true, augment: augmentOptions.parse(augment) },
  ...rest,
})
// JSON has no -0 and no NaN, so bits are compared as bytes.
const textOf = ({ inputs, labels, indices, size, mix }) =>
  [inputs, labels, indices, mix?.partners ?? [], mix?.shares ?? []]
    .map((part) => Buffer.from(part.buffer ?? [], part.byteOffset, part.byteLength).toString('hex'))
    .concat(size)
    .join()
const turn = () => new Promise(setImmediate)
const messageOf = async (promise) => {
  try {
    return `no error: ${await promise}`
  } catch (thrown) {
    return `${thrown.name}: ${thrown.message}`
  }
}

/** Counts what is posted to workers. */
let posted = 0
const { postMessage } = Worker.prototype
Worker.prototype.postMessage = function post(...message) {
  posted++
  return postMessage.apply(this, message)
}

const scenarios = {
  /** Batches of three epochs from the worker and from this thread. */
  async same() {
    const differing = []
    const cases = [
      [everything, {}],
      [everything, { dropLast: true, size: 7 }],
      [{ flip: true }, { shuffle: false }],
      [{ mixup: 1 }, { size: 1000 }],
    ]
    for (const [augment, rest] of cases) {
      const options = optionsOf(augment, rest)
      const stream = openBatches(dataset, options)
      for (const [epoch, from] of [
        [1, 0],
        [2, 3],
        [1, 1],
        [9, 100],
      ]) {
        const expected = Array.from(batches(dataset, { ...options, epoch, from }), textOf)
        const found = []
        for await (const batch of stream.epoch(epoch, from)) {
          await turn()
          found.push(textOf(batch))
        }
        if (found.join() !== expected.join()) differing.push({ augment, rest, epoch, from })
        // An epoch that is left early takes nothing from the next one.
        for await (const _ of stream.epoch(epoch)) break
      }
      await stream.close()
    }
    return { differing, posted: posted > 0 }
  },

  /** Two epochs side by side on one worker. */
  async interleaved() {
    const options = optionsOf(everything)
    const stream = openBatches(dataset, options)
    const [first, second] = [stream.epoch(1), stream.epoch(2)]
    const found = [[], []]
    for (;;) {
      const [a, b] = await Promise.all([first.next(), second.next()])
      if (a.done && b.done) break
      found[0].push(textOf(a.value))
      found[1].push(textOf(b.value))
    }
    const expected = [1, 2].map((epoch) =>
      Array.from(batches(dataset, { ...options, epoch }), textOf),
    )
    return found.join() === expected.join()
  },

  /** How many batches were asked for after each that was taken. */
  async ahead() {
    const asked = []
    for await (const _ of openBatches(dataset, optionsOf(everything)).epoch(1)) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      asked.push(posted)
    }
    return asked
  },

  /** Nothing is closed: the process must end all the same. */
  async left() {
    for await (const _ of openBatches(dataset, optionsOf(everything)).epoch(1)) break
    const idle = openBatches(dataset, optionsOf(everything))
    await idle.epoch(1).next()
    return 'left'
  },

  /** An exception amid an epoch. */
  async thrown() {
    const stream = openBatches(dataset, optionsOf(everything))
    const message = await messageOf(
      (async () => {
        for await (const _ of stream.epoch(1)) throw new RangeError('stop')
      })(),
    )
    await stream.close()
    await stream.close()
    return message
  },

  /** What goes wrong in the worker. */
  async errors() {
    const ask = async (worker, inputs = new Float32Array(8 * 3 * 11 * 11)) =>
      (await worker.ask({ epoch: 1, number: 0, inputs }))()
    const far = startBatchWorker(recipe, optionsOf({ shift: 40 }))
    const good = startBatchWorker(recipe, optionsOf({ shift: 1 }))
    const found = [
      await messageOf(ask(far)),
      await messageOf(ask(far)),
      await messageOf(ask(good, new Float32Array(5))),
      (await ask(good)).size,
    ]
    // What is owed when it ends, and what is asked for after.
    const owed = messageOf(ask(good))
    await good.close()
    found.push(await owed, await messageOf(ask(good)))
    await far.close()
    return found
  },

  /** An exception that nothing in the worker catches, and what is asked for after. */
  async crash() {
    const worker = startBatchWorker(recipe, optionsOf({ flip: true }))
    // What is not enumerable is not posted: the worker has no memory to hand back.
    const inputs = Object.defineProperty({}, 'buffer', { value: new ArrayBuffer(4) })
    const ask = async (memory) => (await worker.ask({ epoch: 1, number: 0, inputs: memory }))()
    const found = await Promise.all(
      [inputs, new Float32Array(9)].map((memory) => messageOf(ask(memory))),
    )
    found.push(await messageOf(ask(new Float32Array(9))))
    await worker.close()
    return found
  },

  /** Whether timers have their turn while the first batch is made. */
  async free() {
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    await openBatches(dataset, optionsOf(everything)).epoch(1).next()
    clearInterval(timer)
    return ticks > 0
  },

  /** What is read in this thread: nothing is changed, or the samples are in no shared memory. */
  async own() {
    const { recipe: _, ...alone } = dataset
    for (const [data, augment] of [
      [dataset, {}],
      [dataset, { shift: 0 }],
      [alone, everything],
    ])
      for await (const _ of openBatches(data, optionsOf(augment)).epoch(1)) break
    return posted
  },
}

process.stdout.write(JSON.stringify(await scenarios[process.argv[2]]()))
