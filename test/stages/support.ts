// Data and surroundings for tests of stages that train.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { Dataset, Splits } from '../../data/dataset.ts'
import type { Model } from '../../onnx/graph.ts'
import type { StageContext } from '../../stages/stage.ts'
import { tasks } from '../../tasks/index.ts'
import { datasetOf } from '../support/samples.ts'

/** Shape of one sample of {@link data}. */
export const shape = [1, 8, 8]
/** Number of classes of {@link data}. */
export const classes = 4

/** Samples of four classes: which quarter of a noisy image is bright. */
function samples(size: number, seed: number): Dataset {
  const labels = Int32Array.from({ length: size }, (_, index) => index % classes)
  return datasetOf({
    source: 'quarters',
    shape,
    classes: ['a', 'b', 'c', 'd'],
    labels,
    write(index, into) {
      const noise = random(seed, index)
      const label = labels[index]!
      for (let pixel = 0; pixel < 64; pixel++) {
        const quarter = (pixel >> 5) * 2 + ((pixel >> 2) & 1)
        into[pixel] = noise.normal() * 0.5 + (quarter === label ? 1 : 0)
      }
    },
  })
}

/** A data set that is learned in a moment. */
export const data: Splits = {
  train: samples(256, 1),
  validation: samples(64, 2),
  calibration: samples(128, 1),
  test: samples(64, 3),
}

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** What a stage is given, with folders of its own, and the messages that it logs. */
export function contextOf(teacher: Model): { context: StageContext; messages: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'condense-stage-'))
  folders.push(folder)
  const messages: string[] = []
  const context: StageContext = {
    teacher,
    variant: async () => teacher,
    task: tasks.classification,
    data,
    seed: 1,
    threads: 1,
    provider: 'cpu',
    folder: join(folder, 'work'),
    shared: join(folder, 'shared'),
    signal: undefined,
    checkpointDue: () => false,
    log: (message) => messages.push(message),
    progress: () => undefined,
  }
  return { context, messages }
}
