// Knowledge review (Chen, Liu, Zhao and Jia 2021): deeper stages of the student help to learn shallower ones.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { settled, withPositions } from '../connectors/connector.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext, TapPair } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { squares } from './formulas.ts'
import { newLayer, through } from './layers.ts'
import { meanOf } from './maps.ts'

/**
 * Mean over stages of the hierarchical distance of what the student's stage makes together with all deeper ones to the
 * teacher's stage (Chen et al. 2021, equations 5 to 7; the paper adds the stages up). Taps go from shallow to deep.
 *
 * From the deepest stage on: the student's features become `channels` wide by a 1x1 convolution; they and the fused
 * ones of the stage below, brought to the same size by repetition, are weighted by two learned attention maps and
 * added; a 3x3 convolution gives them the teacher's channels. No normalization stands between. Images `[N, C, H, W]`
 * only.
 */
export const review = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('review')
      .describe(
        "Distance of the teacher's stages to the student's, each fused with all deeper ones: knowledge review.",
      ),
    ...pairOptions,
    channels: z
      .int()
      .positive()
      .optional()
      .describe("Channels while fusing; those of the student's deepest stage unless given."),
  }),
  comparesWith: [],
  write(g, context, options) {
    const pairs = context.pairs(options, 'none', 'review')
    for (const pair of pairs) checkImages(context, pair)
    const width = options.channels ?? shapeOf(pairs.at(-1)!.student)[1]!
    let deeper: Value | undefined
    const terms: Value[] = []
    for (const [index, { student, teacher }] of [...pairs.entries()].reverse()) {
      const name = `review.pair${index}`
      const wanted = shapeOf(teacher)
      const own = through(g, student, newLayer(context, shapeOf(student), width, `${name}.in`))
      const fused = deeper ? fuse(g, context, own, deeper, `${name}.attention`) : own
      deeper = resized(g, fused, wanted.slice(2))
      const out = newLayer(context, shapeOf(deeper), wanted[1]!, `${name}.out`, { size: 3 })
      terms.push(hierarchical(g, g.Sub(through(g, deeper, out), teacher), wanted))
    }
    return meanOf(g, terms)
  },
})

/** Two values weighted by an attention map each, σ of a 1x1 convolution of both (figure 4a). */
function fuse(g: Builder, context: LossContext, own: Value, below: Value, name: string): Value {
  const shape = shapeOf(own)
  const deeper = resized(g, below, shape.slice(2))
  const both = settled(g.Concat(own, deeper, { axis: 1 }), shape.with(1, 2 * shape[1]!))
  const maps = g.Sigmoid(through(g, both, newLayer(context, shapeOf(both), 2, name)))
  const [first, second] = [0, 1].map((at) => g.Slice(maps, [at], [at + 1], [1]))
  return settled(g.Add(g.Mul(own, first), g.Mul(deeper, second)), shape)
}

/** An image of another size: each place copies the cell that lies over it. */
function resized(g: Builder, value: Value, positions: readonly number[]): Value {
  const shape = shapeOf(value)
  if (String(shape.slice(2)) === String(positions)) return value
  const out = withPositions(shape, positions)
  const attributes = {
    ...{ mode: 'nearest', nearest_mode: 'floor' },
    coordinate_transformation_mode: 'asymmetric',
  }
  return settled(g.Resize(value, undefined, undefined, out, attributes), out)
}

/**
 * The mean of the squares d² plus ½, ¼, ⅛ of those of d averaged into 4x4, 2x2 and 1x1 cells, over the sum of the
 * weights (figure 4b); levels that are no coarser than the image are left out. Pooling is linear, so that the
 * difference d is pooled, not both features.
 */
function hierarchical(g: Builder, difference: Value, shape: readonly number[]): Value {
  const [batch, channels, height, width] = shape as [number, number, number, number]
  let sum = g.Mul(squares(g, difference), 1 / sizeOf(shape))
  let [share, shares] = [1, 1]
  for (const level of [4, 2, 1].filter((cells) => cells < Math.min(height, width))) {
    share /= 2
    shares += share
    const across = g.MatMul(
      g.Reshape(difference, [batch * channels * height, width]),
      tensorOf('float32', [width, level], transposed(averages(width, level))),
    )
    const rows = g.Reshape(across, [batch * channels, height, level])
    const cells = g.MatMul(
      tensorOf('float32', [level, height], averages(height, level).flat()),
      rows,
    )
    sum = g.Add(sum, g.Mul(squares(g, cells), share / (batch * channels * level * level)))
  }
  return g.Mul(sum, 1 / shares)
}

/** The matrix of the means over `to` windows, of which window i goes from ⌊i·from/to⌋ to ⌈(i+1)·from/to⌉. */
const averages = (from: number, to: number): number[][] =>
  Array.from({ length: to }, (_, index) => {
    const start = Math.floor((index * from) / to)
    const end = Math.ceil(((index + 1) * from) / to)
    return Array.from({ length: from }, (_, at) =>
      at >= start && at < end ? 1 / (end - start) : 0,
    )
  })

const transposed = (matrix: readonly (readonly number[])[]): number[] =>
  matrix[0]!.flatMap((_, column) => matrix.map((row) => row[column]!))

function checkImages({ where }: LossContext, { student, teacher, name }: TapPair): void {
  if (shapeOf(student).length === 4 && shapeOf(teacher).length === 4) return
  throw new UserError(
    `${where}: 'review' takes images [N, C, H, W]: '${name}' [${shapeOf(student)}], the teacher's [${shapeOf(teacher)}] — use 'feature', or other taps`,
  )
}
