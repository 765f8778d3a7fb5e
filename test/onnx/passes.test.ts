// The passes on small graphs: what they change, what they leave alone, and that outputs stay.
import { describe, expect, it } from '@jest/globals'
import { type Builder, build, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, Graph, type Model, type Value } from '../../onnx/graph.ts'
import { parseModel } from '../../onnx/load.ts'
import { mergeCommonSubexpressions } from '../../onnx/passes/common-subexpressions.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { foldBatchNormalization } from '../../onnx/passes/fold-batch-normalization.ts'
import { freeBatch } from '../../onnx/passes/free-batch.ts'
import { removeIdentities } from '../../onnx/passes/identity.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { expectSame, outputsOf } from '../support/compare.ts'

type Write = (g: Builder, x: Value) => Value

/** A model of one float32 input `x`, [2, 3] unless told, and whatever the function makes of it. */
function modelOf(write: Write, shape: readonly number[] = [2, 3], opset = 21): Model {
  const { model, g } = newModel('small', opset)
  g.output('y', write(g, g.input('x', { dtype: 'float32', shape })))
  return model
}

const opTypes = (model: Model): string =>
  [...allNodes(model.graph)].map((node) => node.opType).join(' ')

/** An If that takes its first branch; both give a [2, 3]. */
function choose(g: Builder, ...branches: readonly ((inner: Builder) => Value)[]): Value {
  const [thenBranch, elseBranch] = branches.map((write) => {
    const graph = new Graph('branch', g.graph)
    const output = write(build(graph))
    output.type = { dtype: 'float32', shape: [2, 3] }
    graph.outputs.push(output)
    return graph
  })
  const attributes = { then_branch: thenBranch!, else_branch: elseBranch! }
  return g.node('If', [g.constant(tensorOf('bool', [], [1]))], { attributes })[0]!
}

/** Runs a pass on a copy, expects the same outputs from its file, and prints the operators that are left. */
async function opsAfter(model: Model, pass: (model: Model) => boolean, tolerance = 0) {
  const copy = cloneModel(model)
  const before = opTypes(copy)
  const changed = pass(copy)
  expect([changed, pass(copy)]).toEqual([changed, false])
  if (!changed) expect(opTypes(copy)).toBe(before)
  const saved = parseModel(serializeModel(copy))
  expectSame(await outputsOf(saved, 'small'), await outputsOf(model, 'small'), tolerance)
  return opTypes(copy)
}

const ramp = (dims: readonly number[], from = -1, step = 0.37): Tensor => {
  const size = dims.reduce((product, dim) => product * dim, 1)
  return tensorOf(
    'float32',
    dims,
    Array.from({ length: size }, (_, index) => from + ((index * step) % 2)),
  )
}

describe('removeDeadNodes', () => {
  const pass = ({ graph }: Model) => removeDeadNodes(graph)

  it('removes chains, initializers and what only a dead branch reads', async () => {
    const model = modelOf((g, x) => {
      const outside = g.Exp(x)
      choose(
        g,
        (inner) => inner.Neg(outside),
        (inner) => inner.Abs(outside),
      )
      g.Mul(g.Sqrt(x), 3)
      return g.Add(x, 1)
    })
    expect(await opsAfter(model, pass)).toBe('Add')
    pass(model)
    expect([...model.graph.initializers].length).toBe(1)
  })

  it('keeps what a living branch reads, and removes what is dead inside of it', async () => {
    const model = modelOf((g, x) => {
      const [read, unread] = [g.Exp(x), g.Log(x)]
      return choose(
        g,
        (inner) => {
          inner.Neg(unread)
          return inner.Neg(read)
        },
        (inner) => inner.Abs(read),
      )
    })
    expect(await opsAfter(model, pass)).toBe('Exp If Neg Abs')
  })

  it('keeps an input that nobody uses', async () => {
    const model = modelOf((g, x) => {
      g.input('spare', { dtype: 'float32', shape: [1] })
      return g.Relu(x)
    })
    expect(await opsAfter(model, pass)).toBe('Relu')
    expect(model.graph.inputs.map((input) => input.name)).toEqual(['x', 'spare'])
  })
})

describe('liftConstants', () => {
  it('makes initializers of every form of Constant, in branches too', async () => {
    const constant = (g: Builder, name: string, value: number | number[] | Tensor) =>
      g.node('Constant', [], { attributes: { [name]: value } })[0]!
    const model = modelOf((g, x) => {
      const sum = g.Add(x, constant(g, 'value', ramp([3])))
      const scaled = g.Mul(sum, constant(g, 'value_float', 2.5))
      const reshaped = g.Reshape(scaled, constant(g, 'value_ints', [3, 2]))
      const back = g.Reshape(reshaped, [2, 3])
      const floats = constant(g, 'value_floats', [1, 2, 3])
      const gathered = g.Gather(g.Mul(back, floats), constant(g, 'value_int', 1), { axis: 0 })
      return choose(
        g,
        (inner) => inner.Mul(g.Add(x, gathered), constant(inner, 'value_float', 3)),
        (inner) => inner.Identity(x),
      )
    })
    // The node that feeds the branch was made after it here; files have it before.
    expect(await opsAfter(sorted(model), liftConstants)).not.toContain('Constant')
  })

  it('takes initializers out of the inputs, and leaves a constant output', async () => {
    const model = modelOf((g, x) => {
      const weight = g.constant(ramp([3]), 'weight')
      g.graph.inputs.push(weight)
      g.output('constant', g.node('Constant', [], { attributes: { value: ramp([2]) } })[0]!)
      return g.Mul(x, weight)
    })
    model.irVersion = 3
    expect(await opsAfter(model, liftConstants)).toBe('Constant Mul')
    liftConstants(model)
    expect(model.graph.inputs.map((input) => input.name)).toEqual(['x'])
    expect(model.irVersion).toBe(4)
  })
})

/** Moves nodes that make values for subgraphs before the node with the subgraph. */
function sorted(model: Model): Model {
  const nodes = model.graph.nodes
  const last = nodes.filter((node) => node.subgraphs.length > 0 || node.opType === 'Identity')
  model.graph.reorder([...nodes.filter((node) => !last.includes(node)), ...last])
  return model
}

describe('removeIdentities', () => {
  it.each<[string, Write, string]>([
    ['Identity within', (g, x) => g.Neg(g.Identity(g.Abs(x))), 'Abs Neg'],
    ['Identity of an input', (g, x) => g.Neg(g.Identity(x)), 'Neg'],
    ['Identity that makes an output', (g, x) => g.Identity(g.Neg(x)), 'Neg'],
    ['a chain that makes an output', (g, x) => g.Identity(g.Identity(g.Neg(x))), 'Neg'],
    ['an input passed to an output', (g, x) => g.Identity(x), 'Identity'],
    ['Dropout at inference', (g, x) => g.Neg(g.Dropout(x, 0.5)), 'Neg'],
    [
      'Dropout that is told not to train',
      (g, x) => g.Neg(g.Dropout(x, 0.5, tensorOf('bool', [], [0]))),
      'Neg',
    ],
    ['Cast to the same type', (g, x) => g.Neg(g.Cast(x, { to: 1 })), 'Neg'],
    ['Cast to another type', (g, x) => g.Cast(g.Cast(x, { to: 6 }), { to: 1 }), 'Cast Cast'],
    ['Transpose that moves nothing', (g, x) => g.Neg(g.Transpose(x, { perm: [0, 1] })), 'Neg'],
    ['Transpose', (g, x) => g.Neg(g.Transpose(x, { perm: [1, 0] })), 'Transpose Neg'],
    ['Pad by nothing', (g, x) => g.Neg(g.Pad(x, [0, 0, 0, 0])), 'Neg'],
    ['Pad', (g, x) => g.Neg(g.Pad(x, [0, 0, 0, 1])), 'Pad Neg'],
    ['Concat of one', (g, x) => g.Neg(g.Concat(x, { axis: 0 })), 'Neg'],
    ['Reshape to the same shape', (g, x) => g.Neg(g.Reshape(x, [2, 3])), 'Reshape Neg'],
    [
      'Identity that makes the output of a branch',
      (g, x) =>
        choose(
          g,
          (inner) => inner.Identity(x),
          (inner) => inner.Identity(inner.Neg(x)),
        ),
      'If Identity Neg',
    ],
  ])('handles %s', async (_name, write, left) => {
    expect(await opsAfter(modelOf(write), removeIdentities)).toBe(left)
  })

  it('keeps a Dropout whose mask is used, and one that trains', async () => {
    const masked = modelOf((g, x) => {
      const [y, mask] = g.node('Dropout', [x], { outputs: 2 })
      return g.Mul(y!, g.Cast(mask!, { to: 1 }))
    })
    expect(await opsAfter(masked, removeIdentities)).toBe('Dropout Cast Mul')
    const training = modelOf((g, x) => g.Neg(g.Dropout(x, 0.5, tensorOf('bool', [], [1]))))
    expect(removeIdentities(training)).toBe(false)
  })

  it('keeps the names of inputs and outputs', () => {
    const model = modelOf((g, x) => g.Identity(g.Neg(x)))
    removeIdentities(model)
    expect([...model.graph.inputs, ...model.graph.outputs].map(({ name }) => name)).toEqual([
      'x',
      'y',
    ])
  })
})

describe('mergeCommonSubexpressions', () => {
  const pass = ({ graph }: Model) => mergeCommonSubexpressions(graph)
  it.each<[string, Write, string]>([
    ['equal nodes', (g, x) => g.Add(g.Exp(x), g.Exp(x)), 'Exp Add'],
    ['equal chains', (g, x) => g.Add(g.Neg(g.Exp(x)), g.Neg(g.Exp(x))), 'Exp Neg Add'],
    [
      'other attributes',
      (g, x) => g.Add(g.LeakyRelu(x, { alpha: 0.1 }), g.LeakyRelu(x, { alpha: 0.2 })),
      'LeakyRelu LeakyRelu Add',
    ],
    [
      'zeros of other signs',
      (g, x) => g.Add(g.LeakyRelu(x, { alpha: 0 }), g.LeakyRelu(x, { alpha: -0 })),
      'LeakyRelu LeakyRelu Add',
    ],
    ['swapped inputs', (g, x) => g.Mul(g.Sub(x, 1), g.Sub(1, x)), 'Sub Sub Mul'],
    [
      'equal weights, which stay two',
      (g, x) => g.Add(g.Mul(x, ramp([3])), g.Mul(x, ramp([3]))),
      'Mul Mul Add',
    ],
    [
      'a node that makes an output',
      (g, x) => {
        g.output('z', g.Exp(x))
        return g.Exp(x)
      },
      'Exp Exp',
    ],
    [
      'what a branch reads',
      (g, x) => {
        const [one, two] = [g.Exp(x), g.Exp(x)]
        return choose(
          g,
          (inner) => inner.Add(one, two),
          (inner) => inner.Neg(two),
        )
      },
      'Exp If Add Neg',
    ],
  ])('handles %s', async (_name, write, left) => {
    expect(await opsAfter(modelOf(write), pass)).toBe(left)
  })
})

describe('foldBatchNormalization', () => {
  const pass = ({ graph }: Model) => foldBatchNormalization(graph)
  const normalize = (g: Builder, x: Value, channels: number, attributes = {}) =>
    g.BatchNormalization(
      x,
      ramp([channels], 0.5),
      ramp([channels]),
      ramp([channels], -0.3),
      ramp([channels], 0.4, 0.19),
      { epsilon: 1e-3, ...attributes },
    )
  it.each<[string, readonly number[], Write, string]>([
    ['Conv', [2, 3, 4, 4], (g, x) => normalize(g, g.Conv(x, ramp([5, 3, 2, 2])), 5), 'Conv'],
    [
      'Conv with a bias, in groups',
      [2, 4, 5],
      (g, x) => normalize(g, g.Conv(x, ramp([6, 2, 3]), ramp([6]), { group: 2 }), 6),
      'Conv',
    ],
    [
      'ConvTranspose in groups',
      [2, 4, 3, 3],
      (g, x) => normalize(g, g.ConvTranspose(x, ramp([4, 3, 2, 2]), ramp([6]), { group: 2 }), 6),
      'ConvTranspose',
    ],
    [
      'Gemm with a scaled bias',
      [2, 3],
      (g, x) => normalize(g, g.Gemm(x, ramp([3, 4]), ramp([4]), { alpha: 0.5, beta: 2 }), 4),
      'Gemm',
    ],
    [
      'Gemm of a transposed weight and one number as its bias',
      [2, 3],
      (g, x) => normalize(g, g.Gemm(x, ramp([4, 3]), 0.7, { transB: 1 }), 4),
      'Gemm',
    ],
    [
      'Gemm with a bias for each row',
      [2, 3],
      (g, x) => normalize(g, g.Gemm(x, ramp([3, 2]), ramp([2, 1])), 2),
      'Gemm BatchNormalization',
    ],
    [
      'two in a row',
      [2, 3, 4],
      (g, x) => normalize(g, normalize(g, g.Conv(x, ramp([5, 3, 1])), 5), 5),
      'Conv',
    ],
    [
      'Conv that others use',
      [2, 3, 4],
      (g, x) => {
        const y = g.Conv(x, ramp([5, 3, 1]))
        return g.Add(normalize(g, y, 5), y)
      },
      'Conv BatchNormalization Add',
    ],
    [
      'weights of the input',
      [2, 2, 3],
      (g, x) => normalize(g, g.Conv(x, g.Slice(x, [0], [2], [0])), 2),
      'Slice Conv BatchNormalization',
    ],
    ['nothing linear', [2, 3, 4], (g, x) => normalize(g, g.Relu(x), 3), 'Relu BatchNormalization'],
  ])('handles %s', async (_name, shape, write, left) => {
    expect(await opsAfter(modelOf(write, shape), pass, 1e-6)).toBe(left)
  })

  it('copies weights that another node uses, and keeps the name of others', async () => {
    const model = modelOf(
      (g, x) => {
        const [both, own] = [
          g.constant(ramp([3, 3, 1]), 'both'),
          g.constant(ramp([3, 3, 1]), 'own'),
        ]
        const first = normalize(g, g.Conv(x, both), 3)
        return normalize(g, g.Conv(g.Conv(first, both), own), 3)
      },
      [2, 3, 4],
    )
    expect(await opsAfter(model, pass, 1e-6)).toBe('Conv Conv Conv')
    pass(model)
    expect(model.graph.nodes.map((node) => node.input(1).name)).toEqual(['both_1', 'both', 'own'])
  })

  it('leaves the training form and what is not float32', () => {
    const training = modelOf(
      (g, x) => normalize(g, g.Conv(x, ramp([3, 3, 1])), 3, { training_mode: 1 }),
      [2, 3, 4],
    )
    expect(pass(training)).toBe(false)
    const half = modelOf(
      (g, x) => {
        const weights = tensorOf('float16', [3, 3, 1], new Uint16Array(9))
        return normalize(g, g.Conv(g.Cast(x, { to: 10 }), weights), 3)
      },
      [2, 3, 4],
    )
    expect(pass(half)).toBe(false)
  })
})

describe('freeBatch', () => {
  const pass = ({ graph }: Model) => freeBatch(graph)
  const shapesOf = (model: Model) =>
    model.graph.nodes
      .filter((node) => node.opType === 'Reshape')
      .map((node) => [...elements(node.input(1).tensor!, 'int64')].map(Number))

  it.each<[string, Write, readonly (readonly number[])[]]>([
    ['a batch of 1', (g, x) => g.Reshape(x, [1, 6]), [[-1, 6]]],
    ['a batch of 1 beside an inferred size', (g, x) => g.Reshape(x, [1, -1]), [[0, -1]]],
    ['no batch', (g, x) => g.Reshape(x, [2, 3]), [[2, 3]]],
    ['weights', (g, x) => g.Add(x, g.Reshape(g.constant(ramp([6])), [1, 2, 3])), [[1, 2, 3]]],
    [
      'an inferred size where the batch is not first',
      (g, x) => g.Reshape(g.Transpose(x, { perm: [1, 2, 0] }), [1, -1]),
      [[1, -1]],
    ],
  ])('handles %s', async (_name, write, shapes) => {
    const model = modelOf(write, [1, 2, 3])
    await opsAfter(model, pass)
    pass(model)
    expect(shapesOf(model)).toEqual(shapes)
  })
})
