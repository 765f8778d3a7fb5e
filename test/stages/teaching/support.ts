// Teachers and batches for tests of what is learned from.
import { batches } from '../../../data/batches.ts'
import type { Dataset } from '../../../data/dataset.ts'
import {
  type ArchitectureInput,
  architectureOptions,
  buildArchitecture,
} from '../../../models/index.ts'
import type { Builder } from '../../../onnx/build.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { feedingOf } from '../../../stages/feeding.ts'
import type { StageContext } from '../../../stages/stage.ts'
import type { Asked } from '../../../stages/teaching/asked-model.ts'
import { type CombineOptions, combineOptions } from '../../../stages/teaching/combine.ts'
import { type Manners, type Member, openTeaching } from '../../../stages/teaching/teaching.ts'
import { classes, shape } from '../support.ts'

/** Logits of the first output, and nothing else. */
export const first: Asked = { outputs: 'first', taps: [], gradient: false, binary: false }

/** Kept as they are, asked in batches of eight. */
export const kept: Manners = { online: false, store: 'float32', batch: 8 }

/** Asked anew with every batch of eight. */
export const anew: Manners = { ...kept, online: true }

/** An untrained model for the quarters of `../support.ts`. */
export function architecture(options: ArchitectureInput, seed = 1, outputs = classes): Model {
  return buildArchitecture(architectureOptions.parse(options), {
    inputs: [{ name: 'x', dtype: 'float32', shape }],
    outputs,
    seed,
  })
}

/** A model `v [N, 2]` to `[N, width]` that is written by hand. */
export function written(width: number, write: (g: Builder, v: Value) => Value): Model {
  const { model, g } = newModel('written')
  const v = g.input('v', { dtype: 'float32', shape: ['N', 2] })
  g.output('y', write(g, v), { dtype: 'float32', shape: ['N', width] })
  return model
}

/** One teacher of a name. */
export const member = (name: string, model: Model, rest: Partial<Member> = {}): Member => ({
  ...{ name, model, weight: 1 },
  ...rest,
})

/** What teachers answer to every sample, by array and sample; batches come shuffled. */
export async function answersOf(
  members: readonly Member[],
  data: Dataset,
  context: StageContext,
  {
    combine = { by: 'mean' },
    asked = first,
    how = kept,
    seed = 3,
  }: {
    combine?: Parameters<typeof combineOptions.parse>[0]
    asked?: Asked
    how?: Manners
    seed?: number
  } = {},
): Promise<number[][][]> {
  const options: CombineOptions = combineOptions.parse(combine)
  const teaching = await openTeaching(members, options, asked, data, how, context)
  const found: number[][][] = []
  try {
    const feeding = feedingOf(members[0]!.model.graph, data, context.task, how.batch)
    for await (const fed of feeding.batches(
      batches(data, { size: how.batch, shuffle: true, seed }),
    )) {
      const arrays = await teaching.answers(fed)
      for (const [place, values] of arrays.entries()) {
        const width = values.length / fed.size
        found[place] ??= []
        for (const [row, index] of fed.indices.entries())
          found[place][index] = [...values.subarray(row * width, (row + 1) * width)]
      }
    }
  } finally {
    await teaching.close()
  }
  return found
}

/** The probabilities that logits stand for. */
export function softmaxOf(logits: readonly number[]): number[] {
  const largest = Math.max(...logits)
  const powers = logits.map((z) => Math.exp(z - largest))
  const sum = powers.reduce((all, power) => all + power, 0)
  return powers.map((power) => power / sum)
}
