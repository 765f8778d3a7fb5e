// Runs scenarios with the compiled worker, one after the other, and prints what came of each as JSON:
//   node worker.js scenario...
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { augmentOptions } from '../../dist/data/augment.js'
import { batches, batchMaker } from '../../dist/data/batches.js'
import { joined } from '../../dist/data/joined.js'
import { preprocessOptions } from '../../dist/data/preprocess.js'
import { fileWriter, layOut, memoryWriter, viewsOf } from '../../dist/data/store.js'
import { storedDataset } from '../../dist/data/stored-dataset.js'
import { openBatches } from '../../dist/data/stream.js'
import { subset } from '../../dist/data/subset.js'
import { startBatchWorker } from '../../dist/data/worker.js'

const size = 50
const layout = layOut([
  { name: 'image', dtype: 'uint8', shape: [3, 9, 9] },
  { name: 'image.number', dtype: 'int32', shape: [2] },
  { name: ':target', dtype: 'float32', shape: [2] },
])
/** Writes all samples to a store. */
const written = (writer) => {
  const [image, number, target] = viewsOf(layout, writer.record)
  for (let index = 0; index < size; index++) {
    for (let at = 0; at < 243; at++) image[at] = ((index * 243 + at) * 7919) & 255
    number.set([index, -index])
    target.set([index / 3, index])
    writer.next()
  }
  return writer.finish()
}
const recipe = {
  source: 'made up',
  store: written(memoryWriter(layout, 'made up', size)),
  indices: Uint32Array.from({ length: size }, (_, index) => size - 1 - index),
  labels: Int32Array.from({ length: size }, (_, index) => (size - 1 - index) % 5),
  classes: ['a', 'b', 'c', 'd', 'e'],
  group: 1,
  targetNames: [],
  preprocess: preprocessOptions.parse({
    ...{ mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4] },
    ...{ pad: 1, layout: 'nhwc', colour: 'bgr' },
  }),
}
const dataset = storedDataset(recipe)
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
const textOf = ({ columns, labels, targets, indices, size, mix }) =>
  [...columns, labels, targets, indices, mix?.partners ?? [], mix?.shares ?? []]
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

  /** Some samples of two stores, one in memory and one in a file, the second without labels. */
  async joined() {
    const folder = mkdtempSync(join(tmpdir(), 'condense-worker-'))
    try {
      const store = written(fileWriter(layout, join(folder, 'records')))
      const both = joined(dataset, storedDataset({ ...recipe, store }))
      const some = subset(
        both,
        Uint32Array.from({ length: 30 }, (_, place) => 99 - 3 * place),
      )
      const differing = []
      for (const augment of [everything, { flip: true, mixup: 1 }]) {
        const options = optionsOf(augment)
        const stream = openBatches(some, options)
        const expected = Array.from(batches(some, { ...options, epoch: 2 }), textOf)
        const found = []
        for await (const batch of stream.epoch(2)) found.push(textOf(batch))
        await stream.close()
        if (found.join() !== expected.join()) differing.push(augment)
      }
      return { differing, posted: posted > 0 }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },

  /** Records in a file, which the worker opens itself. */
  async file() {
    const folder = mkdtempSync(join(tmpdir(), 'condense-worker-'))
    try {
      const store = written(fileWriter(layout, join(folder, 'records')))
      const options = optionsOf(everything)
      const stream = openBatches(storedDataset({ ...recipe, store }), options)
      const expected = Array.from(batches(dataset, { ...options, epoch: 3 }), textOf)
      const found = []
      for await (const batch of stream.epoch(3)) found.push(textOf(batch))
      await stream.close()
      return { same: found.join() === expected.join(), posted: posted > 0 }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
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
    const memory = () => batchMaker(dataset, { size: 8 }).memory()
    const ask = async (worker, columns = memory()) =>
      (await (await worker.ask({ epoch: 1, number: 0, columns }))()).batch
    const far = startBatchWorker(recipe, optionsOf({ shift: 40 }))
    const good = startBatchWorker(recipe, optionsOf({ shift: 1 }))
    const found = [
      await messageOf(ask(far)),
      await messageOf(ask(far)),
      await messageOf(ask(good, memory().with(0, new Float32Array(5)))),
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
    const stray = Object.defineProperty({}, 'buffer', { value: new ArrayBuffer(4) })
    const ask = async (memory) => (await worker.ask({ epoch: 1, number: 0, columns: [memory] }))()
    const found = await Promise.all(
      [stray, new Float32Array(9)].map((memory) => messageOf(ask(memory))),
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

  /** What is read in this thread: nothing is changed. */
  async own() {
    for (const augment of [{}, { shift: 0 }, { mixup: 0 }])
      for await (const _ of openBatches(dataset, optionsOf(augment)).epoch(1)) break
    for await (const _ of openBatches(dataset, { size: 8 }).epoch(1)) break
    return posted
  },
}

const found = []
for (const name of process.argv.slice(2)) {
  posted = 0
  found.push(await scenarios[name]())
}
process.stdout.write(JSON.stringify(found))
