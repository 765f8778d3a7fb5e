import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { layersOf } from '../../../onnx/layers.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { prune } from '../../../stages/prune/index.ts'
import { maskStructureOf } from '../../../stages/prune/mask-structures.ts'
import { structureOf } from '../../../stages/prune/structure.ts'
import { matricesOf } from '../../../stages/prune/structures/matrix.ts'
import { conditionalModel } from '../../support/conditional.ts'
import { contextOf } from '../support.ts'
import { normals } from './small-nets.ts'

/** Every kind of layer with weights, side by side. */
function layers(): Model {
  const { model, g } = newModel('layers')
  const image = g.input('image', { dtype: 'float32', shape: [1, 8, 5, 5] })
  const flat = g.input('flat', { dtype: 'float32', shape: [1, 40] })
  const add = (name: string, dims: readonly number[]) => g.constant(normals(dims, name), name)
  const kernel_shape = [3, 3]
  const outputs = [
    g.Conv(image, add('conv', [6, 8, 3, 3]), { kernel_shape }),
    g.Conv(image, add('grouped', [6, 4, 3, 3]), { kernel_shape, group: 2 }),
    g.Conv(image, add('depthwise', [8, 1, 3, 3]), { kernel_shape, group: 8 }),
    g.ConvTranspose(image, add('transposed', [8, 3, 2, 2]), { kernel_shape: [2, 2], group: 2 }),
    g.MatMul(flat, add('matrix', [40, 12])),
    g.Gemm(flat, add('gemm', [12, 40]), { transB: 1 }),
    g.MatMul(add('left', [4, 5]), image),
  ]
  for (const [index, output] of outputs.entries()) g.output(`y${index}`, output)
  const sequence = g.input('sequence', { dtype: 'float32', shape: [3, 1, 10] })
  const [, state] = g.node('GRU', [sequence, add('gates', [1, 18, 10]), add('own', [1, 18, 6])], {
    attributes: { hidden_size: 6 },
    outputs: 2,
  })
  g.output('state', state!)
  return model
}

const { context, messages } = contextOf(layers())

async function pruned(options: object, model = layers()) {
  messages.length = 0
  const before = serializeModel(model)
  const parsed = prune.options.parse({ stage: 'prune', ...options })
  const result = await prune.run({ model, facts: {} }, parsed, context)
  expect(serializeModel(model)).toEqual(before)
  return result
}

/** The layer of a weight, and its content as matrices of outputs, inputs and positions. */
function matrixOf(model: Model, name: string): number[][][][] {
  const layer = layersOf(model.graph).find(({ weight }) => weight.name === name)!
  const values = elements(layer.weight.tensor!, 'float32')
  const { count, rows, columns, kernel, steps } = matricesOf(layer)
  expect(count * rows * columns * kernel).toBe(values.length)
  const list = <Item>(length: number, item: (index: number) => Item) =>
    Array.from({ length }, (_, index) => item(index))
  return list(count, (matrix) =>
    list(rows, (row) =>
      list(columns, (column) =>
        list(
          kernel,
          (position) =>
            values[
              matrix * steps.matrix +
                row * steps.row +
                column * steps.column +
                position * steps.position
            ]!,
        ),
      ),
    ),
  )
}

const sparsityOf = (values: ArrayLike<number>) =>
  Array.from(values).filter((value) => value === 0).length / values.length

const weightsOf = (model: Model) =>
  new Map(
    layersOf(model.graph).map(({ weight }) => [weight.name, elements(weight.tensor!, 'float32')]),
  )

describe('weights as matrices', () => {
  it.each([
    // [matrices, outputs, inputs, positions], and the index in the tensor of one element of each
    ['conv', [1, 6, 8, 9], [0, 5, 7, 3], (5 * 8 + 7) * 9 + 3],
    ['grouped', [2, 3, 4, 9], [1, 2, 3, 4], (5 * 4 + 3) * 9 + 4],
    ['depthwise', [8, 1, 1, 9], [7, 0, 0, 2], 7 * 9 + 2],
    ['transposed', [2, 3, 4, 4], [1, 2, 3, 1], (7 * 3 + 2) * 4 + 1],
    ['matrix', [1, 12, 40, 1], [0, 3, 35, 0], 35 * 12 + 3],
    ['gemm', [1, 12, 40, 1], [0, 3, 35, 0], 3 * 40 + 35],
    ['left', [1, 4, 5, 1], [0, 3, 2, 0], 3 * 5 + 2],
    ['gates', [3, 6, 10, 1], [2, 4, 9, 0], (2 * 6 + 4) * 10 + 9],
    ['own', [3, 6, 6, 1], [1, 4, 5, 0], (6 + 4) * 6 + 5],
  ] as const)('of %s', (name, sizes, [matrix, row, column, position], index) => {
    const model = layers()
    const found = matrixOf(model, name)
    expect([
      found.length,
      found[0]!.length,
      found[0]![0]!.length,
      found[0]![0]![0]!.length,
    ]).toEqual(sizes)
    const values = weightsOf(model).get(name)!
    expect(found[matrix]![row]![column]![position]).toBe(values[index])
  })
})

describe('n:m', () => {
  it.each([
    ['2:4', 2, 4],
    ['1:4', 1, 4],
    ['3:5', 3, 5],
    ['4:8', 4, 8],
  ])('%s leaves at most n of every m inputs of every output', async (structure, kept, group) => {
    const { model, facts } = await pruned({ structure })
    const full = layers()
    const wrong: unknown[] = []
    for (const name of weightsOf(full).keys()) {
      const [now, before] = [matrixOf(model, name), matrixOf(full, name)]
      for (const [m, matrix] of now.entries())
        for (const [r, row] of matrix.entries())
          for (let position = 0; position < row[0]!.length; position++)
            for (let start = 0; start < row.length; start += group) {
              const cut = (all: number[][]) =>
                all.slice(start, start + group).map((column) => Math.abs(column[position]!))
              const living = cut(row).filter((value) => value !== 0)
              const largest = cut(before[m]![r]!).sort((x, y) => y - x)
              living.sort((x, y) => y - x)
              if (String(living) !== String(largest.slice(0, kept))) wrong.push([name, living])
            }
    }
    expect(wrong).toEqual([])
    expect(facts.summary).toMatch(/^zeroed \d+ of \d+ weights in \d layers$/)
    // One input a group is nothing to choose from.
    expect(messages[0]).toMatch(/^left alone, too small for '\d:\d': .*'Conv_2' of 8 x 1 x 3 x 3/)
  })

  it.each([
    ['4:2', "'4:2' — use '2:4', say"],
    ['4:4', "n:m keeps n of every m weights, at least one and fewer than m: '4:4'"],
    ['0:4', "'0:4' — use '2:4', say"],
    ['0:0', "'0:0' — use '2:4', say"],
    ['block-1x1', "a block has two weights or more: 'block-1x1'"],
    ['block-0x4', "a block has two weights or more: 'block-0x4'"],
    ['2:4:8', "or a pattern such as '2:4' or 'block-4x1'"],
    ['blocks', "or a pattern such as '2:4' or 'block-4x1'"],
  ])('and blocks: %s is refused', (structure, message) => {
    const { error } = prune.options.safeParse({ stage: 'prune', structure })
    expect(error?.issues.map((issue) => issue.message).join()).toContain(message)
  })

  it('has no other target', () => {
    const { error } = prune.options.safeParse({
      ...{ stage: 'prune', structure: '2:4', target: { sparsity: 0.5 } },
    })
    expect(error?.issues[0]).toMatchObject({
      path: ['target'],
      message: "structure '2:4' says by itself how much goes — leave it out",
    })
  })
})

describe('blocks', () => {
  it.each([
    ['block-4x1', 4, 1],
    ['block-1x4', 1, 4],
    ['block-8x8', 8, 8],
    ['block-5x7', 5, 7],
  ])('%s live or die as a whole, those with the smallest means first', async (structure, r, c) => {
    const options = { structure, target: { sparsity: 0.5 } }
    const { model } = await pruned({ ...options, layers: ['op:Gemm', 'op:MatMul'] })
    const [living, dead]: [number[], number[]] = [[], []]
    let [zeros, total] = [0, 0]
    const full = layers()
    for (const name of ['matrix', 'gemm', 'left']) {
      const [matrix, was] = [matrixOf(model, name)[0]!, matrixOf(full, name)[0]!]
      if (matrix.length <= r && matrix[0]!.length <= c) {
        expect(messages.join()).toContain('left alone')
        expect(matrix).toEqual(was)
        continue
      }
      for (let top = 0; top < matrix.length; top += r)
        for (let left = 0; left < matrix[0]!.length; left += c) {
          const cut = (all: number[][][]) =>
            all.slice(top, top + r).flatMap((row) => row.slice(left, left + c).flat())
          const [now, before] = [cut(matrix), cut(was)]
          const gone = now.filter((value) => value === 0).length
          expect([0, now.length]).toContain(gone)
          const mean = before.reduce((sum, value) => sum + Math.abs(value), 0) / before.length
          if (gone > 0) dead.push(mean)
          else living.push(mean)
          zeros += gone
          total += now.length
        }
    }
    expect(Math.max(...dead)).toBeLessThanOrEqual(Math.min(...living))
    expect(zeros).toBeGreaterThanOrEqual(Math.round(total / 2))
    expect(zeros).toBeLessThan(total / 2 + r * c)
  })

  it('go over the positions of kernels as over inputs', async () => {
    const options = { structure: 'block-1x9', target: { sparsity: 0.5 } }
    const { model } = await pruned({ ...options, layers: ['op:Conv'] })
    for (const name of ['conv', 'grouped', 'depthwise'])
      for (const kernel of matrixOf(model, name).flat(2))
        expect([0, 9]).toContain(kernel.filter((value) => value === 0).length)
  })

  it('say so where they are larger than all weights', async () => {
    await expect(pruned({ structure: 'block-999x999', target: { sparsity: 0.5 } })).rejects.toThrow(
      /^structure: 'block-999x999' fits no weight: all 9 are too small for it, such/,
    )
  })
})

describe('banded', () => {
  it('leaves a band around the diagonal from corner to corner', async () => {
    const { model } = await pruned({ structure: 'banded', target: { sparsity: 0.6 } })
    let [zeros, total] = [0, 0]
    for (const [name, values] of weightsOf(model)) {
      if (name !== 'depthwise') {
        zeros += values.filter((value) => value === 0).length
        total += values.length
      }
      for (const matrix of matrixOf(model, name)) {
        const [rows, columns] = [matrix.length, matrix[0]!.length]
        for (const [r, row] of matrix.entries()) {
          const living = [...row.keys()].filter((column) =>
            row[column]!.some((value) => value !== 0),
          )
          // Without holes, and never without the main diagonal.
          if (living.length > 0) expect(living.at(-1)! - living[0]!).toBe(living.length - 1)
          if (columns >= rows) expect(living).toContain(Math.floor((r * columns) / rows))
        }
      }
    }
    expect(zeros / total).toBeGreaterThanOrEqual(0.6)
    expect(zeros / total).toBeLessThan(0.64)
  })

  it('gives every layer the same share where the scope is local', async () => {
    const { model } = await pruned({
      ...{ structure: 'banded', target: { sparsity: 0.4 }, scope: 'local' },
      exclude: ['Conv_2', 'op:ConvTranspose'],
    })
    for (const name of ['conv', 'matrix', 'gemm'])
      expect(Math.abs(sparsityOf(weightsOf(model).get(name)!) - 0.4)).toBeLessThan(0.13)
  })

  it('says what can be reached', async () => {
    await expect(pruned({ structure: 'banded', target: { sparsity: 0.999 } })).rejects.toThrow(
      /^target\.sparsity: cannot be reached: 0\.999 — 0\.9\d\d is the most where the/,
    )
  })
})

describe('block-diagonal', () => {
  it('leaves as few blocks as the sparsity needs, of equal sizes', async () => {
    const target = { sparsity: 0.6 }
    const { model } = await pruned({ structure: 'block-diagonal', target })
    for (const name of ['conv', 'gemm', 'matrix', 'grouped', 'gates', 'own']) {
      expect(sparsityOf(weightsOf(model).get(name)!)).toBeGreaterThanOrEqual(0.6)
      for (const matrix of matrixOf(model, name)) {
        const [rows, columns] = [matrix.length, matrix[0]!.length]
        // 1 - 1/3 is the first to reach it.
        for (const [r, row] of matrix.entries())
          for (const [c, column] of row.entries()) {
            const inside = Math.floor((r * 3) / rows) === Math.floor((c * 3) / columns)
            expect(column.every((value) => (value !== 0) === inside)).toBe(true)
          }
      }
    }
    expect(sparsityOf(weightsOf(model).get('depthwise')!)).toBe(0)
  })

  it('says where a layer has too few rows for it', async () => {
    await expect(
      pruned({ structure: 'block-diagonal', target: { sparsity: 0.9 } }),
    ).rejects.toThrow(
      /^target\.sparsity: cannot be reached: 0\.9 — layer '\S+' of 6 x 8 has at most 6 diagonal blocks; lower it/,
    )
  })
})

describe('single weights', () => {
  it('are compared output by output where the scope is row', async () => {
    const { model } = await pruned({
      ...{ structure: 'weights', target: { sparsity: 0.3 }, scope: 'row' },
    })
    for (const [name, values] of weightsOf(model)) {
      expect(Math.abs(sparsityOf(values) * values.length - 0.3 * values.length)).toBeLessThan(1)
      for (const row of matrixOf(model, name).flat()) {
        const zeros = row.flat().filter((value) => value === 0).length
        expect(Math.abs(zeros - 0.3 * row.flat().length)).toBeLessThan(1.001)
      }
    }
  })

  it('of layers that share them are pruned once, and stay shared', async () => {
    const { model: shared, g } = newModel('shared')
    const x = g.input('x', { dtype: 'float32', shape: [2, 6] })
    const weight = g.constant(normals([6, 6], 'shared'), 'shared')
    const once = g.Relu(g.MatMul(x, weight))
    g.output('y', g.MatMul(g.Relu(g.MatMul(once, weight)), g.Transpose(weight, { perm: [1, 0] })))
    const { model, facts } = await pruned(
      { structure: 'weights', target: { sparsity: 0.5 } },
      shared,
    )
    expect(facts.summary).toBe('zeroed 18 of 36 weights in 1 layers')
    expect([...model.graph.initializers].map(({ name }) => name)).toEqual(['shared'])
  })

  it('never leave a layer without any', async () => {
    const { model, g } = newModel('small')
    const x = g.input('x', { dtype: 'float32', shape: [1, 4] })
    const tiny = g.constant(tensorOf('float32', [4, 4], new Float32Array(16).fill(1e-3)), 'tiny')
    g.output('y', g.MatMul(g.MatMul(x, tiny), g.constant(normals([4, 4], 'large'), 'large')))
    const weights = { structure: 'weights', target: { sparsity: 0.9 } }
    const { model: left } = await pruned(weights, model)
    expect(sparsityOf(weightsOf(left).get('tiny')!)).toBe(15 / 16)
    await expect(pruned({ ...weights, target: { sparsity: 0.97 } }, model)).rejects.toThrow(
      'target.sparsity: cannot be reached: 0.97 — 0.937 is the most where something stays of every layer; lower it, or choose other layers',
    )
  })

  it('that are no numbers are told of', async () => {
    const { model, g } = newModel('broken')
    const x = g.input('x', { dtype: 'float32', shape: [1, 2] })
    const broken = g.constant(tensorOf('float32', [2, 2], [1, Number.NaN, 2, 3]), 'broken')
    g.output('y', g.MatMul(x, broken))
    await expect(
      pruned({ structure: 'weights', target: { sparsity: 0.5 } }, model),
    ).rejects.toThrow(
      /^prune: the scores of layer '\S+' are not numbers: its weights are not finite/,
    )
  })

  it('that are quantized are told of', async () => {
    const { model, g } = newModel('quantized')
    const x = g.input('x', { dtype: 'float32', shape: [1, 2] })
    const weight = g.constant(tensorOf('int8', [2, 2], Int8Array.from([1, 2, 3, 4])), 'w')
    const scale = g.constant(tensorOf('float32', [], [0.1]), 'scale')
    g.output('y', g.MatMul(x, g.DequantizeLinear(weight, scale)))
    for (const structure of ['2:4', 'weights'])
      await expect(
        pruned({ structure, ...(structure === 'weights' && { target: { sparsity: 0.5 } }) }, model),
      ).rejects.toThrow('no float32 weights to prune')
  })
})

describe('weights inside branches', () => {
  it('are told of', async () => {
    await expect(
      pruned({ structure: 'weights', target: { sparsity: 0.5 } }, conditionalModel()),
    ).rejects.toThrow(
      /^no weights to prune: all 4 layers are inside branches or loops, such as '\S+' — use structure 'channels'/,
    )
  })
})

describe('masks', () => {
  it.each(['weights', '2:4', '3:8', 'block-4x1', 'banded', 'block-diagonal'])(
    'of %s tighten with progress, and nothing comes back',
    (name) => {
      const structure = maskStructureOf(structureOf(name))!
      const weights = layersOf(layers().graph)
        .map((layer) => ({
          layer,
          matrices: matricesOf(layer),
          scores: elements(layer.weight.tensor!, 'float32').map(Math.abs),
        }))
        .filter(({ matrices }) => structure.fits(matrices))
      const sparsity = structure.sparsity ?? 0.6
      let before: Float32Array[] = weights.map(({ scores }) =>
        new Float32Array(scores.length).fill(1),
      )
      for (const progress of [0, 0.1, 0.4, 0.7, 1]) {
        const masks = structure.masks(weights, { sparsity, progress })
        const back = masks.map((mask, index) =>
          mask.filter((flag, at) => flag > before[index]![at]!),
        )
        expect(back.every(({ length }) => length === 0)).toBe(true)
        const zeros = masks.reduce((sum, mask) => sum + mask.filter((flag) => flag === 0).length, 0)
        const total = masks.reduce((sum, mask) => sum + mask.length, 0)
        if (progress === 0) expect(zeros).toBe(0)
        // Patterns go by whole numbers of each group; blocks and diagonals go as a whole.
        expect(Math.abs(zeros / total - sparsity * progress)).toBeLessThan(
          name === 'weights' ? 1 / total : 0.13,
        )
        before = masks
      }
    },
  )
})
