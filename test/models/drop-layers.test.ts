// Shallower copies of models: which blocks repeat, and what is left when some of them go.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { dropLayers, dropLayersOptions } from '../../models/drop-layers.ts'
import { type ArchitectureInput, buildArchitecture } from '../../models/index.ts'
import { type ModelShape, oneInput } from '../../models/layers.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { serializeModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import { difference, feedsFor, interfaceOf, outputsOf } from './derived.ts'
import { feedsOf, text } from './examples.ts'

const dropped = (
  teacher: Model,
  layers: unknown,
  { log, inputs = [] }: { log?: (line: string) => void; inputs?: ModelShape['inputs'] } = {},
): Promise<Model> =>
  dropLayers(dropLayersOptions.parse({ layers }), { teacher, seed: 1, inputs, outputs: 1, log })

/** A chain of layers `[N, 4]` that `body` writes between input `x` and output `y`. */
function chain(body: (g: Builder, x: Value, weight: (size: number[]) => Value) => Value): Model {
  const { model, g } = newModel('chain')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
  let count = 0
  let weights = 0
  const weight = (dims: number[]) => {
    const size = dims.reduce((product, dim) => product * dim, 1)
    const values = Float32Array.from({ length: size }, (_, at) => Math.sin(++count + at))
    return g.constant(tensorOf('float32', dims, values), `weight${++weights}`)
  }
  g.output('y', body(g, x, weight), { dtype: 'float32', shape: ['N', undefined] })
  return model
}

const shape = { inputs: text(6, 20), outputs: 5 }
const images = oneInput([3, 8, 8], 4)

describe('dropping layers', () => {
  it.each<[string, unknown, ArchitectureInput, ArchitectureInput, readonly number[], ModelShape]>([
    [
      'bert',
      'every 2nd',
      { architecture: 'bert', layers: 4, hidden: 8, intermediate: 12 },
      { architecture: 'bert', layers: 2, hidden: 8, intermediate: 12 },
      [1, 3],
      shape,
    ],
    [
      'bert, pre-norm',
      'first 2',
      { architecture: 'bert', layers: 4, hidden: 8, intermediate: 12, norm: 'pre' },
      { architecture: 'bert', layers: 2, hidden: 8, intermediate: 12, norm: 'pre' },
      [1, 2],
      shape,
    ],
    [
      'bert by the mean',
      [4],
      { architecture: 'bert', layers: 4, hidden: 8, intermediate: 12, pool: 'mean' },
      { architecture: 'bert', layers: 1, hidden: 8, intermediate: 12, pool: 'mean' },
      [4],
      shape,
    ],
    [
      'vit',
      'every 3rd',
      { architecture: 'vit', patch: 4, depth: 5, hidden: 8, heads: 2 },
      { architecture: 'vit', patch: 4, depth: 2, hidden: 8, heads: 2 },
      [1, 4],
      images,
    ],
    [
      'resnet 20',
      'every 2nd',
      { architecture: 'resnet', depth: 20, width: 4 },
      { architecture: 'resnet', depth: 14, width: 4 },
      [1, 3, 4, 5, 7, 8],
      images,
    ],
    [
      'wide-resnet 22',
      'every 2nd',
      { architecture: 'wide-resnet', depth: 22, widen: 0.5 },
      { architecture: 'wide-resnet', depth: 16, widen: 0.5 },
      [1, 2, 4, 5, 7, 8],
      images,
    ],
  ])('of %s (%j) gives the shallower architecture', async (_, layers, deep, shallow, kept, of) => {
    const teacher = buildArchitecture(deep, { ...of, seed: 1 })
    const student = await dropped(teacher, layers, { inputs: of.inputs })
    // The same from its own constructor, with the weights copied in.
    const expected = buildArchitecture(shallow, { ...of, seed: 2 })
    const weights = new Map(
      [...teacher.graph.initializers].map(({ name, tensor }) => [name, tensor]),
    )
    const names = [...expected.graph.initializers].map((value) => {
      const name = value.name.replace(/^block(\d+)/, (_, number) => `block${kept[number - 1]}`)
      if (!name.startsWith('constant')) value.tensor = weights.get(name)
      return name
    })
    const weightNames = (all: Iterable<string>) =>
      [...all].filter((name) => !name.startsWith('constant')).sort()
    expect(weightNames([...student.graph.initializers].map(({ name }) => name))).toEqual(
      weightNames(names),
    )
    expect(student.graph.nodes.map(({ opType }) => opType)).toEqual(
      expected.graph.nodes.map(({ opType }) => opType),
    )
    expect(interfaceOf(student)).toEqual(interfaceOf(teacher))
    const feeds = feedsOf(of, 0, 2)
    expect(await difference(expected, parseModel(serializeModel(student)), feeds)).toBe(0)
    expect(await difference(teacher, student, feeds)).toBeGreaterThan(1e-3)
  })

  it('says which blocks it found and kept', async () => {
    const lines: string[] = []
    const teacher = buildArchitecture(
      { architecture: 'resnet', depth: 20, width: 4 },
      { ...images, seed: 1 },
    )
    await dropped(teacher, [1, 5], { log: (line) => lines.push(line) })
    expect(lines).toEqual([
      "kept 2 of 7 blocks: 3 from 'block1.conv1' (7 nodes each), 2 from 'block5.conv1' (7 nodes each), 2 from 'block8.conv1' (7 nodes each)",
    ])
  })

  it('keeps the name of an output that a dropped block made', async () => {
    const teacher = chain((g, x, weight) =>
      [1, 2, 3].reduce((value) => g.Relu(g.MatMul(value, weight([4, 4]))), x),
    )
    const before = Buffer.from(serializeModel(teacher))
    const student = await dropped(teacher, 'first 1')
    const expected = chain((g, x, weight) => g.Relu(g.MatMul(x, weight([4, 4]))))
    const feeds = feedsFor(teacher)
    expect(await difference(expected, parseModel(serializeModel(student)), feeds)).toBe(0)
    expect(interfaceOf(student)).toEqual(interfaceOf(teacher))
    expect([...student.graph.initializers].map(({ name }) => name)).toEqual(['weight1'])
    expect(Buffer.compare(serializeModel(teacher), before)).toBe(0)
  })

  it('takes the larger of blocks within blocks', async () => {
    const block = (g: Builder, x: Value, weight: (dims: number[]) => Value) =>
      g.Tanh(g.MatMul(g.MatMul(x, weight([4, 4])), weight([4, 4])))
    const teacher = chain((g, x, weight) => block(g, block(g, x, weight), weight))
    const student = await dropped(teacher, [2])
    expect([...student.graph.initializers]).toHaveLength(2)
    expect(student.graph.nodes.map(({ opType }) => opType)).toEqual(['MatMul', 'MatMul', 'Tanh'])
  })

  it.each<[string, Model]>([
    [
      'widths change',
      chain((g, x, weight) => g.MatMul(g.MatMul(x, weight([4, 6])), weight([6, 4]))),
    ],
    ['blocks have no weights', chain((g, x) => g.Relu(g.Tanh(g.Relu(g.Tanh(x)))))],
    [
      'sizes change',
      chain((g, x, weight) => {
        const planes = g.Reshape(x, [-1, 1, 2, 2])
        const half = (value: Value) =>
          g.node('Conv', [value, weight([1, 1, 1, 1])], { attributes: { strides: [2, 2] } })[0]!
        return g.Flatten(half(half(planes)))
      }),
    ],
    [
      'a part is read from outside',
      chain((g, x, weight) => {
        const first = g.MatMul(x, weight([4, 4]))
        const inner = g.Relu(first)
        const second = g.MatMul(inner, weight([4, 4]))
        return g.Concat(g.Relu(second), first, second, { axis: 1 })
      }),
    ],
  ])('finds no blocks where %s', async (_, teacher) => {
    await expect(dropped(teacher, 'every 2nd')).rejects.toThrow(UserError)
    await expect(dropped(teacher, 'every 2nd')).rejects.toThrow(
      /^student: { layers: every 2nd }: the teacher repeats no blocks: among its \d+ nodes there are no two alike parts in a row whose input and output are of one type — use 'shrink', or an architecture$/,
    )
  })

  it.each([
    [
      [1, 9],
      "student: { layers: [1, 9] }: there is no block 9: the teacher has 3: 3 from 'MatMul' (2 nodes each) — choose among them",
    ],
    [
      'first 3',
      "student: { layers: first 3 }: keeps all 3 blocks of the teacher: 3 from 'MatMul' (2 nodes each) — keep fewer",
    ],
  ])('refuses %j', async (layers, message) => {
    const teacher = chain((g, x, weight) =>
      [1, 2, 3].reduce((value) => g.Relu(g.MatMul(value, weight([4, 4]))), x),
    )
    await expect(dropped(teacher, layers)).rejects.toThrow(message)
  })
})

/** A copy in which these weights are zero. */
function zeroed(model: Model, names: readonly string[]): Model {
  const copy = cloneModel(model)
  liftConstants(copy)
  for (const name of names) {
    const value = [...copy.graph.initializers].find((one) => one.name === name)!
    const { dims, size } = value.tensor!
    value.tensor = tensorOf('float32', dims, new Float32Array(size))
  }
  return copy
}

describe('dropping layers of real models', () => {
  // A residual block whose last layers are zero is the identity.
  itWithShared.each([
    [
      'vittrack',
      ['639', 'blocks.1.attn.proj.bias', '641', 'blocks.1.mlp.fc2.bias'],
      "kept 2 of 3 blocks: 3 from 'ReduceMean_35' (48 nodes each)",
    ],
    [
      'vit-ibp-3-3-8-cifar10',
      ['onnx::MatMul_324', '1.1.0.fn.1.out.bias', 'onnx::MatMul_326', '1.1.1.fn.1.3.bias'],
      "kept 2 of 3 blocks: 3 from '/1/1.0/1.0.0/fn/fn.0/Transpose' (43 nodes each)",
    ],
    [
      'conv-distiller-resnet20-dense-cifar10',
      ['layer1.1', 'layer2.2', 'layer3.2'].flatMap((block) => [
        `${block}.bn2.weight`,
        `${block}.bn2.bias`,
      ]),
      "kept 4 of 7 blocks: 3 from 'layer1.0.conv1' (7 nodes each), 2 from 'layer2.1.conv1' (7 nodes each), 2 from 'layer3.1.conv1' (7 nodes each)",
    ],
  ])('%s gives what it gives with the dropped blocks zeroed', async (name, zeros, log) => {
    const teacher = await loadModel(sharedModel(`${name}.onnx`))
    const lines: string[] = []
    const student = await dropped(teacher, 'every 2nd', { log: (line) => lines.push(line) })
    expect(lines).toEqual([log])
    expect(interfaceOf(student)).toEqual(interfaceOf(teacher))
    const feeds = feedsFor(teacher)
    const saved = parseModel(serializeModel(student))
    expect(await difference(zeroed(teacher, zeros), saved, feeds)).toBeLessThan(1e-6)
    expect(await difference(teacher, student, feeds)).toBeGreaterThan(1e-3)
  })

  itWithShared('optimum-test-asset gives what it gives when it is cut by hand', async () => {
    const teacher = await loadModel(sharedModel('optimum-test-asset.onnx'))
    const student = await dropped(teacher, 'every 2nd', { inputs: text(6, 20) })
    const expected = cloneModel(teacher)
    // The sums that end the two layers.
    const [first, second] = ['180', '294'].map(
      (name) =>
        expected.graph.nodes.flatMap(({ outputs }) => outputs).find((one) => one?.name === name)!,
    )
    expected.graph.replaceUses(second!, first!)
    const feeds = feedsFor(teacher, { batch: 2, sequence: 6 })
    const answers = await outputsOf(student, feeds)
    expect(answers.logits!.dims).toEqual([2, 2])
    expect(await difference(expected, student, feeds)).toBe(0)
    const names = [...student.graph.initializers].map(({ name }) => name)
    expect(names.filter((name) => name.includes('layer.1'))).toEqual([])
    expect(names).toContain('distilbert.transformer.layer.0.ffn.lin1.bias')
  })
})
