// Run as a process of its own: prepares generated rows (how many, bytes each) in a file of the given folder, goes
// through all batches of the training split, and prints how many samples there are and by how many bytes the process
// grew beyond what it took for a hundredth of the rows.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { batches } from '../../dist/data/batches.js'
import { featureOptions } from '../../dist/data/features/index.js'
import { prepareTable } from '../../dist/data/prepare.js'
import { preprocessOptions } from '../../dist/data/preprocess.js'
import { fileWriter } from '../../dist/data/store.js'
import { storedDataset } from '../../dist/data/stored-dataset.js'

const [count, bytes, folder] = process.argv.slice(2)

async function prepare(size, name) {
  const values = new Uint8Array(Number(bytes))
  const table = {
    columns: [
      { name: 'x', type: 'tensor' },
      { name: 'label', type: 'number' },
    ],
    train: {
      where: 'generated',
      *rows() {
        for (let row = 0; row < size; row++) {
          values.fill(row % 251)
          yield [{ shape: [values.length], values: values.slice() }, row % 10]
        }
      },
    },
  }
  const { parts, splits, classes } = await prepareTable(
    table,
    {
      ...{ seed: 1, damaged: 'refuse', validation: 0.1, testShare: 0.1, calibration: 512 },
      features: { x: featureOptions.parse({ kind: 'tensor', column: 'x' }) },
      target: { kind: 'class', columns: [], scale: 1 },
    },
    {
      write: (part, layout) => fileWriter(layout, join(folder, `${name}.${part}`)),
      log: () => undefined,
    },
  )
  const { indices } = splits.train
  const { store, labels } = parts.train
  const dataset = storedDataset({
    ...{ source: 'generated', store, indices, classes, group: 1, targetNames: [] },
    labels: Int32Array.from(indices, (index) => labels[index]),
    preprocess: preprocessOptions.parse({}),
  })
  let seen = 0
  for (const { size: samples, columns, indices: chosen } of batches(dataset, {
    ...{ size: 64, shuffle: true, seed: 1 },
  })) {
    seen += samples
    for (let row = 0; row < samples; row++)
      if (columns[0][row * values.length] !== indices[chosen[row]] % 251)
        throw new Error(`sample ${chosen[row]} is another one`)
  }
  return seen
}

await prepare(Math.floor(Number(count) / 100), 'few')
const before = peakBytes()
const samples = await prepare(Number(count), 'all')
process.stdout.write(JSON.stringify({ samples, grownBytes: peakBytes() - before }))

/** Not maxRSS where there is a choice: on Linux a process inherits that from the one that started it. */
function peakBytes() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS
  return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}
