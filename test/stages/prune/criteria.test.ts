// Every criterion against its paper's formula, computed once more in float64.
import { describe, expect, it } from '@jest/globals'
import { inverse, Matrix } from 'ml-matrix'
import { channelGroups } from '../../../channels/groups.ts'
import { prepareChannels } from '../../../channels/prepare.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import {
  type CriterionName,
  criteriaFor,
  criterionProblems,
  settleCriterion,
} from '../../../stages/prune/criteria.ts'
import { channelScores, weightScores } from '../../../stages/prune/scores.ts'
import type { StageContext } from '../../../stages/stage.ts'
import type { NdArray } from '../../support/reference/nd.ts'
import { relativeError } from '../../support/reference.ts'
import {
  contextFor,
  convNet,
  evaluated,
  gradientOf,
  inputsOf,
  mlp,
  normals,
  weightOf,
} from './small-nets.ts'

const dense = mlp()
const denseContext = contextFor(dense, [8], 130)
const convolutional = convNet()
const convContext = contextFor(convolutional, [2, 6, 6])

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)
const sum = (values: Iterable<number>): number => [...values].reduce((total, own) => total + own, 0)

/** The scores of a model's groups that can be cut, in order. */
async function channels(
  model: Model,
  context: StageContext,
  options: Parameters<typeof channelScores>[2],
  more: Parameters<typeof channelScores>[5] = {},
): Promise<Float64Array[]> {
  const prepared = await prepareChannels(model)
  const groups = channelGroups(prepared).filter(({ prunable }) => prunable === true)
  const scores = await channelScores(prepared, groups, options, context, model, more)
  return groups.map((group) => scores.get(group)!)
}

/** The scores of some initializers. */
async function weights(
  model: Model,
  context: StageContext,
  names: readonly string[],
  options: Parameters<typeof weightScores>[2],
  more: Parameters<typeof weightScores>[4] = {},
): Promise<Float32Array[]> {
  const values = names.map((name) => [...model.graph.initializers].find((v) => v.name === name)!)
  const scores = await weightScores(model, values, options, context, more)
  return values.map((value) => scores.get(value)!)
}

const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, error = 1e-4): void => {
  expect(relativeError(actual, expected)).toBeLessThan(error)
}

/** The rows of a matrix. */
const rowsOf = ({ dims, data }: NdArray): Float64Array[] => {
  const width = data.length / dims[0]!
  return range(dims[0]!).map((row) => data.slice(row * width, (row + 1) * width))
}

// Hidden unit c: column c of w1 [8, 6] makes it, column c of w2 [4, 6] takes it.
const w1 = weightOf(dense, 'w1')
const w2 = weightOf(dense, 'w2')
const made = (c: number) => range(8).map((row) => w1[row * 6 + c]!)
const taken = (c: number) => range(4).map((row) => w2[row * 6 + c]!)
const takenOf = (matrix: ArrayLike<number>, c: number) =>
  range(4).map((row) => matrix[row * 6 + c]!)
const data = denseContext.data!.calibration
const batches = [
  [0, 64],
  [64, 128],
] as const

describe('criteria that look at weights alone', () => {
  it.each<[string, object, (c: number) => number]>([
    ['l1', {}, (c) => sum([...made(c), ...taken(c)].map(Math.abs))],
    ['l2', {}, (c) => Math.hypot(...made(c), ...taken(c))],
    ['l1', { aggregate: 'first' }, (c) => sum(made(c).map(Math.abs))],
    ['l1', { aggregate: 'sum' }, (c) => sum([...made(c), ...taken(c)].map(Math.abs))],
    ['l2', { aggregate: 'sum' }, (c) => Math.hypot(...made(c)) + Math.hypot(...taken(c))],
    ['l2', { aggregate: 'mean' }, (c) => (Math.hypot(...made(c)) + Math.hypot(...taken(c))) / 2],
    ['l2', { aggregate: 'max' }, (c) => Math.max(Math.hypot(...made(c)), Math.hypot(...taken(c)))],
    ['l2', { aggregate: 'l2' }, (c) => Math.hypot(...made(c), ...taken(c))],
    ['l2', { aggregate: 'product' }, (c) => Math.hypot(...made(c)) * Math.hypot(...taken(c))],
    ['lamp', {}, (c) => sum([...made(c), ...taken(c)].map((w) => w * w))],
    [
      'fpgm',
      {},
      (c) => sum(range(6).map((o) => Math.hypot(...made(c).map((w, at) => w - made(o)[at]!)))),
    ],
  ])('%s %j', async (criterion, options, expected) => {
    const [scores] = await channels(dense, denseContext, {
      criterion: criterion as CriterionName,
      ...options,
    })
    near(scores!, range(6).map(expected), 1e-6)
  })

  it('bn-scale is |γ|', async () => {
    const groups = await channels(normalisedNet(), convContext, {
      criterion: 'bn-scale',
    })
    near(groups[0]!, weightOf(convolutional, 'gamma').map(Math.abs), 1e-7)
  })

  it('bn-scale refuses layers without a normalization in one line', async () => {
    await expect(channels(dense, denseContext, { criterion: 'bn-scale' })).rejects.toThrow(
      /^criterion: 'bn-scale' looks at BatchNormalization, and there is none behind 'Gemm' — leave/,
    )
  })

  it('random numbers depend on the seed and the name alone', async () => {
    const scores = (seed: number) =>
      channels(dense, { ...denseContext, seed }, { criterion: 'random' })
    expect(await scores(1)).toEqual(await scores(1))
    expect(await scores(1)).not.toEqual(await scores(2))
    const [one] = await weights(dense, denseContext, ['w1'], { criterion: 'random' })
    const [, again] = await weights(dense, denseContext, ['w2', 'w1'], { criterion: 'random' })
    expect(again).toEqual(one)
  })

  it('l2 of single weights is w², so that sums over blocks are in the order of l2', async () => {
    const [scores] = await weights(dense, denseContext, ['w1'], { criterion: 'l2' })
    near(
      scores!,
      w1.map((w) => w * w),
      1e-6,
    )
  })

  it('magnitude is |w|, lamp the share of the weights that are not smaller', async () => {
    const names = ['w1', 'w2']
    const [size] = await weights(dense, denseContext, names, {})
    expect(size).toEqual(Float32Array.from(w1, Math.abs))
    const [, lamp] = await weights(dense, denseContext, names, { criterion: 'lamp' })
    const squares = [...w2].map((w) => w * w)
    near(
      lamp!,
      squares.map((own) => own / sum(squares.filter((other) => other >= own))),
      1e-6,
    )
    expect(Math.max(...lamp!)).toBe(1)
  })

  it.each([
    ['mean', (own: Float64Array) => own.map((v) => v / (sum(own) / own.length))],
    ['max', (own: Float64Array) => own.map((v) => v / Math.max(...own))],
    ['sum', (own: Float64Array) => own.map((v) => v / sum(own))],
    [
      'standard',
      (own: Float64Array) =>
        own.map((v) => (v - Math.min(...own)) / (Math.max(...own) - Math.min(...own))),
    ],
    [
      'gaussian',
      (own: Float64Array) => {
        const mean = sum(own) / own.length
        return own.map(
          (v) => (v - mean) / Math.sqrt(sum(own.map((x) => (x - mean) ** 2)) / own.length),
        )
      },
    ],
  ] as const)('scores of weights are normalised by %s', async (normalise, expected) => {
    const [scores] = await weights(dense, denseContext, ['w1'], { normalise })
    near(scores!, expected(w1.map(Math.abs)), 1e-6)
  })
})

describe('criteria of gradients', () => {
  const batchGradients = batches.map((part) => gradientOf(dense, data, 'w2', part))
  const product = (gradient: Float64Array, c: number) =>
    sum(taken(c).map((w, row) => w * gradient[row * 6 + c]!))

  it('taylor is |Σ g·w|, the mean over batches of 64', async () => {
    const [scores] = await channels(dense, denseContext, { criterion: 'taylor', samples: 128 })
    near(
      scores!,
      range(6).map((c) => sum(batchGradients.map((g) => Math.abs(product(g, c)))) / 2),
    )
    const [single] = await weights(dense, denseContext, ['w2'], { criterion: 'taylor' })
    near(
      single!,
      w2.map((w, at) => sum(batchGradients.map((g) => Math.abs(w * g[at]!))) / 2),
    )
  })

  it('fisher is the mean of (Σ g·w)² over single samples', async () => {
    const gradients = range(12).map((row) => gradientOf(dense, data, 'w2', [row, row + 1]))
    const options = { criterion: 'fisher', samples: 12 } as const
    const [scores] = await channels(dense, denseContext, options)
    near(
      scores!,
      range(6).map((c) => sum(gradients.map((g) => product(g, c) ** 2)) / 12),
    )
    const [single] = await weights(dense, denseContext, ['w2'], options)
    near(
      single!,
      w2.map((w, at) => sum(gradients.map((g) => (w * g[at]!) ** 2)) / 12),
    )
  })

  it('snip is |g·w| of the mean gradient', async () => {
    const [first, second] = batchGradients as [Float64Array, Float64Array]
    const [single] = await weights(dense, denseContext, ['w2'], { criterion: 'snip' })
    near(
      single!,
      w2.map((w, at) => Math.abs((w * (first[at]! + second[at]!)) / 2)),
    )
  })

  it('hessian estimates ½ h w²', async () => {
    const options = { criterion: 'hessian', samples: 128 } as const
    const [single] = await weights(dense, denseContext, ['w2'], options)
    // The last layer's Hessian in closed form: p (1 - p) x² for each class.
    const values = evaluated(dense, inputsOf(data, 0, 128))
    const hidden = rowsOf(values.get(hiddenName(dense))!)
    const exact = w2.map((w, at) => {
      const [row, c] = [Math.floor(at / 6), at % 6]
      const h = sum(
        rowsOf(values.get('y')!).map((logits, index) => {
          const p = Math.exp(logits[row]!) / sum(logits.map(Math.exp))
          return (p * (1 - p) * hidden[index]![c]! ** 2) / 128
        }),
      )
      return (h * w * w) / 2
    })
    // Eight batches of random signs: an estimate.
    expect(sum(single!) / sum(exact)).toBeGreaterThan(0.6)
    expect(sum(single!) / sum(exact)).toBeLessThan(1.5)
  })

  it('movement takes what a training has accumulated, and refuses to guess', async () => {
    const moved = new Map([['w2', Float32Array.from(w2, (_, at) => Math.sin(at))]])
    const [scores] = await weights(
      dense,
      denseContext,
      ['w2'],
      { criterion: 'movement' },
      {
        movement: moved,
      },
    )
    near(scores!, moved.get('w2')!, 1e-6)
    const [units] = await channels(
      dense,
      denseContext,
      { criterion: 'movement' },
      {
        movement: moved,
      },
    )
    near(
      units!,
      range(6).map((c) => sum(takenOf(moved.get('w2')!, c))),
      1e-6,
    )
    await expect(weights(dense, denseContext, ['w2'], { criterion: 'movement' })).rejects.toThrow(
      /^criterion: 'movement' is learned in training, and there was none — give/,
    )
  })
})

describe('criteria of activations', () => {
  // What the convolutions take, in float64.
  const values = evaluated(convolutional, inputsOf(convContext.data!.calibration))
  const taken = convolutional.graph.nodes
    .filter(({ opType }) => opType === 'Conv' || opType === 'Gemm')
    .map((node) => values.get(node.input(0).name)!)
  const [, second, flat] = taken as [NdArray, NdArray, NdArray]
  const f2 = weightOf(convolutional, 'f2')

  /** The numbers of one channel of `[N, C, …]`. */
  const channelOf = ({ dims, data: all }: NdArray, c: number) => {
    const size = all.length / dims[0]! / dims[1]!
    return range(dims[0]!).flatMap((n) => [
      ...all.slice((n * dims[1]! + c) * size, (n * dims[1]! + c + 1) * size),
    ])
  }

  it('activation-mean and apoz look at what the layer behind takes', async () => {
    const means = await channels(convolutional, convContext, { criterion: 'activation-mean' })
    near(
      means[0]!,
      range(5).map((c) => sum(channelOf(second, c)) / channelOf(second, c).length),
    )
    const shares = await channels(convolutional, convContext, { criterion: 'apoz' })
    near(
      shares[0]!,
      range(5).map((c) => {
        const own = channelOf(second, c)
        return own.filter((value) => value !== 0).length / own.length
      }),
    )
    // A channel that is flattened is twelve inputs of the Gemm.
    const wide = { dims: [40, 4, 12], data: flat.data }
    near(
      means[1]!,
      range(4).map((c) => sum(channelOf(wide, c)) / channelOf(wide, c).length),
    )
  })

  it('apoz refuses a model without zeros', async () => {
    await expect(channels(dense, denseContext, { criterion: 'apoz' })).rejects.toThrow(
      /^criterion: 'apoz' counts zeros, and no activation/,
    )
  })

  /** What every output of the second convolution sees: `[positions][C * 9]`, pads [1, 0], strides [2, 1]. */
  const windows = range(40).flatMap((n) =>
    range(3).flatMap((top) =>
      range(4).map((leftmost) =>
        range(5).flatMap((c) =>
          range(9).map((k) => {
            const [y, x] = [top * 2 - 1 + Math.floor(k / 3), leftmost + (k % 3)]
            return y < 0 || y > 5 ? 0 : second.data[((n * 5 + c) * 6 + y) * 6 + x]!
          }),
        ),
      ),
    ),
  )
  const hidden = rowsOf(evaluated(dense, inputsOf(data, 0, 128)).get(hiddenName(dense))!)

  it('wanda is |w|·‖x‖, of convolutions over all their windows', async () => {
    const options = { criterion: 'wanda' } as const
    const [own] = await weights(dense, denseContext, ['w2'], options)
    near(
      own!,
      w2.map((w, at) => Math.abs(w) * Math.hypot(...hidden.map((row) => row[at % 6]!))),
    )
    const [filter] = await weights(convolutional, convContext, ['f2'], options)
    const norms = range(45).map((at) => Math.hypot(...windows.map((window) => window[at]!)))
    near(
      filter!,
      f2.map((w, at) => Math.abs(w) * norms[at % 45]!),
    )
    const [units] = await channels(convolutional, convContext, options)
    near(
      units!,
      range(5).map((c) =>
        sum(
          range(4 * 9).map((at) => {
            const column = c * 9 + (at % 9)
            return Math.abs(f2[Math.floor(at / 9) * 45 + column]!) * norms[column]!
          }),
        ),
      ),
    )
  })

  it('sparsegpt is w² over what the inverse Hessian of the columns from it on has for it', async () => {
    const [scores] = await weights(dense, denseContext, ['w2'], { criterion: 'sparsegpt' })
    const x = new Matrix(hidden.map((row) => [...row]))
    const hessian = x.transpose().mmul(x)
    const damping = (0.01 * sum(hessian.diagonal())) / 6
    for (const at of range(6)) hessian.set(at, at, hessian.get(at, at) + damping)
    near(
      scores!,
      w2.map((w, at) => {
        const from = at % 6
        return w ** 2 / inverse(hessian.subMatrix(from, 5, from, 5)).get(0, 0)
      }),
    )
  })

  it('thinet removes, each time, the channel that the next layer misses least', async () => {
    const [scores] = await channels(convolutional, convContext, { criterion: 'thinet' })
    // What each channel adds to each output: [channel][output, position].
    const parts = range(5).map((c) =>
      range(4).flatMap((m) =>
        windows.map((window) =>
          sum(range(9).map((k) => window[c * 9 + k]! * f2[m * 45 + c * 9 + k]!)),
        ),
      ),
    )
    const size = (set: readonly number[]) =>
      sum(range(parts[0]!.length).map((at) => sum(set.map((c) => parts[c]![at]!)) ** 2))
    const gone: number[] = []
    const expected = new Float64Array(5)
    let most = 0
    while (gone.length < 5) {
      const left = range(5).filter((c) => !gone.includes(c))
      const [next] = left.sort((a, b) => size([...gone, a]) - size([...gone, b]))
      gone.push(next!)
      most = Math.max(most, size(gone) / size(range(5)))
      expected[next!] = most
    }
    near(scores!, expected)
  })

  it('sums over batches are the sums over all samples at once', async () => {
    // 40 samples are two batches of 16 and one of 8.
    const [all] = await channels(convolutional, convContext, { criterion: 'activation-mean' })
    const parts = await Promise.all(
      [8, 32, 40].map((samples) =>
        channels(convolutional, convContext, { criterion: 'activation-mean', samples }),
      ),
    )
    near(parts[2]![0]!, all!, 1e-12)
    expect(relativeError(parts[0]![0]!, all!)).toBeGreaterThan(1e-3)
  })

  it('says so where nothing is known of a layer', async () => {
    const { model, g } = newModel('transposed')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 2, 6, 6] })
    const filter = (dims: readonly number[], name: string) => g.constant(normals(dims, name), name)
    const inner = g.ConvTranspose(x, filter([2, 3, 2, 2], 'a'))
    g.output('y', g.ConvTranspose(inner, filter([3, 2, 2, 2], 'b')))
    const ask = (criterion: CriterionName) => channels(model, convContext, { criterion })
    await expect(ask('wanda')).rejects.toThrow(/^criterion: there are no input norms of 'ConvT/)
    await expect(ask('thinet')).rejects.toThrow(/^criterion: 'thinet' looks at the convolution/)
  })

  it('needs data', async () => {
    const context = { ...denseContext, data: undefined }
    for (const criterion of ['taylor', 'wanda', 'activation-mean'] as const)
      await expect(channels(dense, context, { criterion })).rejects.toThrow(/needs data/)
  })
})

describe('the options of criteria', () => {
  it('are settled as it suits the criterion', () => {
    const settled = (options: object, family: 'channels' | 'weights' = 'channels') => {
      const { name, samples, normalise, scope, reconstruct } = settleCriterion(options, family)
      return [name, samples, normalise, scope, reconstruct]
    }
    expect(settled({})).toEqual(['l1', 512, 'mean', 'global', false])
    expect(settled({ criterion: 'taylor' })).toEqual(['taylor', 512, 'none', 'global', false])
    expect(settled({}, 'weights')).toEqual(['magnitude', 512, 'none', 'global', false])
    expect(settled({ criterion: 'wanda' }, 'weights')).toEqual([
      ...['wanda', 128, 'none', 'row', false],
    ])
    expect(settled({ criterion: 'sparsegpt' }, 'weights')).toEqual([
      ...['sparsegpt', 128, 'none', 'local', true],
    ])
  })

  it.each([
    [{ criterion: 'magnitude' }, 'channels', "'magnitude' scores no channels; these do: l1,"],
    [{ criterion: 'thinet' }, 'weights', "'thinet' scores no weights; these do: l1,"],
    [{ criterion: 'l1', samples: 4 }, 'channels', "criterion 'l1' looks at no samples"],
    [{ aggregate: 'max' }, 'weights', 'goes with structures that cut channels out'],
    [{ scope: 'row' }, 'channels', "'row' goes with structures that zero weights"],
    [{ scope: 'isomorphic' }, 'weights', "'isomorphic' goes with structures that cut"],
  ] as const)('%j does not go with %s', (options, family, message) => {
    expect(criterionProblems(options, family).map((problem) => problem.message)[0]).toContain(
      message,
    )
  })

  it('have a criterion of every kind for both', () => {
    expect(criteriaFor('channels')).toEqual(expect.arrayContaining(['l1', 'fisher', 'thinet']))
    expect(criteriaFor('weights')).toEqual(expect.arrayContaining(['magnitude', 'sparsegpt']))
  })
})

/** What the last layer of the small dense net takes. */
function hiddenName(model: Model): string {
  return model.graph.nodes.findLast(({ opType }) => opType === 'Gemm')!.input(0).name
}

/** One convolution and its normalization, the γ of which is that of the larger net. */
function normalisedNet(): Model {
  const { model, g } = newModel('normalised')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 2, 6, 6] })
  const vector = (name: string) =>
    g.constant(tensorOf('float32', [5], Float32Array.from(weightOf(convolutional, name))), name)
  const filter = g.constant(normals([5, 2, 3, 3], 'f1'), 'f1')
  const made = g.BatchNormalization(
    g.Conv(x, filter),
    ...['gamma', 'beta', 'mean', 'var'].map(vector),
  )
  g.output('y', g.Conv(made, g.constant(normals([3, 5, 1, 1], 'z'), 'z')))
  return model
}
