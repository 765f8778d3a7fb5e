import { describe, expect, it } from '@jest/globals'
import type { SampleColumn } from '../../base/samples.ts'
import { type ArchitectureInput, buildArchitecture } from '../../models/index.ts'
import type { ModelShape } from '../../models/layers.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { endsOf } from '../../stages/taps/ends.ts'
import { pairEnds } from '../../stages/taps/pair.ts'
import { tappable } from '../../stages/taps/values.ts'
import { settleTaps, type TapSubject } from '../../stages/taps.ts'
import { forwardPass } from '../../train/forward.ts'
import { tapsOf } from '../../train/taps.ts'
import { examples } from '../models/examples.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import { parsed } from '../train/loss-harness.ts'

const column = (name: string, shape: readonly number[], ids = false): SampleColumn => ({
  name,
  dtype: ids ? 'int32' : 'float32',
  shape,
})

/** An untrained model of an architecture with samples that it can read. */
function subjectOf(options: ArchitectureInput, shape: ModelShape, where = 'student'): TapSubject {
  const columns = shape.inputs.map((input) =>
    column(input.name, input.shape, input.dtype === 'int64'),
  )
  return { model: buildArchitecture(options, { ...shape, seed: 1 }), samples: { columns }, where }
}

const images = (side: number): ModelShape => ({
  inputs: [{ name: 'x', dtype: 'float32', shape: [3, side, side] }],
  outputs: 10,
})

const shared = async (
  file: string,
  columns: readonly SampleColumn[],
  where = 'teacher',
): Promise<TapSubject> => ({
  model: await loadModel(sharedModel(file)),
  samples: { columns },
  where,
})

const photo = [column('x', [3, 32, 32])]
const words = ['input_ids', 'attention_mask'].map((name) => column(name, [12], true))

const feature = (taps: unknown = 'auto') => parsed([{ loss: 'feature', taps }])

/** The pairs that were settled, `teacher → student`. */
async function pairsFound(
  teacher: TapSubject,
  student: TapSubject,
  losses = feature(),
): Promise<string[]> {
  const settled = await settleTaps(losses, student, teacher)
  return (tapsOf(settled.losses[0]!) as { teacher: string; student: string }[]).map(
    (pair) => `${pair.teacher} → ${pair.student}`,
  )
}

/** A model with one value after the other, each of a name and shape. */
function chain(names: readonly string[], width = 4): Model {
  const { model, g } = newModel('chain')
  let x = g.input('x', { dtype: 'float32', shape: ['N', width] })
  for (const name of names) {
    x = g.Tanh(x)
    x.name = name
  }
  g.output('y', g.Tanh(x), { dtype: 'float32', shape: ['N', width] })
  return model
}

const chained = (names: readonly string[], where = 'student'): TapSubject => ({
  model: chain(names),
  samples: { columns: [column('x', [4])] },
  where,
})

describe('the ends of stages', () => {
  const without = new Set(['two-tower with features'])
  it.each(examples.filter(([what]) => !without.has(what)))(
    'are found in every architecture: %s',
    async (_, options, shape) => {
      const found = endsOf(await tappable(subjectOf(options, shape)))
      expect(found.ends.length).toBeGreaterThan(0)
      expect(found.ends.map(({ name }) => name)).not.toContain('logits')
    },
  )

  it.each([
    [
      'resnet',
      {},
      [
        [16, 32, 32],
        [32, 16, 16],
        [64, 8, 8],
      ],
    ],
    [
      'wide-resnet',
      { depth: 10, widen: 1 },
      [
        [16, 32, 32],
        [32, 16, 16],
        [64, 8, 8],
      ],
    ],
    [
      'vgg',
      { width: 0.5 },
      [
        [32, 32, 32],
        [64, 16, 16],
        [128, 8, 8],
        [256, 4, 4],
        [256, 2, 2],
      ],
    ],
    [
      'mobilenet-v1',
      { width: 0.25 },
      [
        [32, 32, 32],
        [64, 16, 16],
        [128, 8, 8],
        [256, 4, 4],
      ],
    ],
    [
      'vit',
      { depth: 2, hidden: 12 },
      [
        [65, 12],
        [65, 12],
      ],
    ],
    ['mlp', { hidden: [9, 8] }, [[9], [8]]],
  ] as const)('have the shapes that one expects: %s', async (architecture, options, shapes) => {
    const whole = { architecture, ...options } as ArchitectureInput
    const { ends } = endsOf(await tappable(subjectOf(whole, images(32))))
    expect(ends.map(({ shape }) => shape)).toEqual(shapes)
  })

  itWithShared.each([
    [
      'conv-tiny-vww96-mobilenet025.onnx',
      [3, 96, 96],
      [
        'activation_2_out',
        'activation_6_out',
        'activation_10_out',
        'activation_22_out',
        'activation_26_out',
      ],
    ],
    ['mnist-8-ortweb.onnx', [1, 28, 28], ['ReLU32_Output_0', 'ReLU114_Output_0']],
    ['super-resolution-10.onnx', [1, 224, 224], ['14']],
    ['keras-tract-example.onnx', [100], ['sequential/main_input/Relu:0']],
  ] as const)('are found in %s', async (file, shape, names) => {
    const found = endsOf(await tappable(await shared(file, [column('x', shape)])))
    expect(found.ends.map(({ name }) => name)).toEqual(names)
  })

  itWithShared('are found on both ways of a net that goes down and up', async () => {
    // It takes one sample at a time.
    const model = await shared('ppocr-det-ch-v3.onnx', [column('x', [3, 64, 64])])
    const { ends } = endsOf(await tappable(model))
    const sides = ends.map(({ shape }) => shape[1])
    expect(sides.slice(0, 8)).toEqual([32, 16, 8, 4, 2, 4, 8, 16])
  })
})

describe('taps auto', () => {
  itWithShared('pairs the stages of residual nets', async () => {
    const [teacher, student] = [
      await shared('conv-distiller-resnet20-dense-cifar10.onnx', photo),
      await shared('conv-tiny-resnet8-cifar10.onnx', photo, 'student'),
    ]
    const settled = await settleTaps(feature(), student, teacher)
    expect(tapsOf(settled.losses[0]!)).toEqual([
      { teacher: 'layer1.2_relu2', student: 'activation_2_out' },
      { teacher: 'layer2.2_relu2', student: 'activation_4_out' },
      { teacher: 'layer3.2_relu2', student: 'activation_6_out' },
    ])
    expect(settled.taught).toEqual([
      { name: 'layer1.2_relu2', shape: [16, 32, 32] },
      { name: 'layer2.2_relu2', shape: [32, 16, 16] },
      { name: 'layer3.2_relu2', shape: [64, 8, 8] },
    ])
    expect(settled.note).toBe(
      "taps auto: teacher's 'layer1.2_relu2' [16,32,32] for 'activation_2_out' [16,32,32], teacher's 'layer2.2_relu2' [32,16,16] for 'activation_4_out' [32,16,16], teacher's 'layer3.2_relu2' [64,8,8] for 'activation_6_out' [64,8,8]",
    )
    // What was settled is what a training can use.
    const pass = await forwardPass(student.model, {
      ...{ batch: 4, losses: settled.losses, freeze: [], batchStatistics: true, dropout: true },
      taught: { outputs: 1, taps: settled.taught },
    })
    expect([...pass.feeds.teacher].map(([place, { dims }]) => [place, dims])).toEqual([
      [1, [4, 16, 32, 32]],
      [2, [4, 32, 16, 16]],
      [3, [4, 64, 8, 8]],
    ])
  })

  itWithShared('names the last stage alone for losses that want one', async () => {
    const [teacher, student] = [
      await shared('conv-distiller-resnet20-dense-cifar10.onnx', photo),
      await shared('conv-tiny-resnet8-cifar10.onnx', photo, 'student'),
    ]
    for (const loss of ['crd', 'factor'])
      expect(await pairsFound(teacher, student, parsed([{ loss }]))).toEqual([
        'layer3.2_relu2 → activation_6_out',
      ])
  })

  itWithShared('pairs the blocks of transformers evenly', async () => {
    const teacher = await shared('vit-ibp-3-3-8-cifar10.onnx', photo)
    const student = subjectOf({ architecture: 'vit', depth: 2, hidden: 12, patch: 8 }, images(32))
    const found = await pairsFound(teacher, student)
    expect(found).toEqual([
      '/1/1.1/1.1.1/Add_output_0 → Add_8_output',
      '/1/1.2/1.2.1/Add_output_0 → Add_16_output',
    ])
  })

  itWithShared('finds blocks that are normalized at their ends, written out or not', async () => {
    const teacher = await shared('optimum-test-asset.onnx', words)
    const student = subjectOf(
      { architecture: 'bert', layers: 2, hidden: 12, heads: 3, intermediate: 20 },
      {
        outputs: 2,
        inputs: ['input_ids', 'attention_mask'].map((name) => ({
          ...{ name, dtype: 'int64' as const, shape: [12], ids: 2 },
        })),
      },
    )
    expect(await pairsFound(teacher, student)).toEqual([
      '180 → block1.feedforward.norm_output',
      '294 → block2.feedforward.norm_output',
    ])
  })

  it('names attention where a loss is about it', async () => {
    const [teacher, student] = [4, 2].map((depth) =>
      subjectOf({ architecture: 'vit', depth, hidden: 12, patch: 8 }, images(16)),
    )
    const shapesOf = async (loss: object) => {
      const { taught, losses } = await settleTaps(parsed([loss]), student!, teacher!)
      return { taught: taught.map(({ shape }) => shape), pairs: tapsOf(losses[0]!)?.length }
    }
    const map = [3, 5, 5]
    expect(await shapesOf({ loss: 'attention' })).toEqual({ taught: [map, map], pairs: 2 })
    expect(await shapesOf({ loss: 'attention', distance: 'kl' })).toEqual({
      ...{ taught: [map, map], pairs: 2 },
    })
    expect(await shapesOf({ loss: 'relations' })).toEqual({ taught: [[3, 5, 4]], pairs: 1 })
    const net = subjectOf({ architecture: 'mlp' }, images(16))
    await expect(settleTaps(parsed([{ loss: 'attention' }]), net, teacher!)).rejects.toThrow(
      /^taps: 'auto' finds no attention scores in student among its \d+ values — name the values in taps$/,
    )
  })

  it('matches resolutions by their share of the input', async () => {
    // The teacher sees larger images, and goes further down.
    const teacher = subjectOf({ architecture: 'vgg', width: 0.1 }, images(64), 'teacher')
    const student = subjectOf({ architecture: 'resnet', width: 4 }, images(32))
    const ends = [endsOf(await tappable(teacher)), endsOf(await tappable(student))] as const
    const pairs = pairEnds(...ends)
    expect(pairs.map((pair) => [pair.teacher.shape[1], pair.student.shape[1]])).toEqual([
      [64, 32],
      [32, 16],
      [16, 8],
    ])
  })

  it('pairs stages of unlike models too', async () => {
    const net = subjectOf({ architecture: 'resnet', width: 4 }, images(16))
    const vit = subjectOf({ architecture: 'vit', depth: 6, hidden: 12, patch: 8 }, images(16))
    const perceptron = subjectOf({ architecture: 'mlp', hidden: [8, 8] }, images(16))
    expect(await pairsFound(vit, net)).toEqual([
      'Add_16_output → Relu_2_output',
      'Add_32_output → Relu_4_output',
      'Add_48_output → Relu_6_output',
    ])
    // Of many blocks of a student only some have a stage of the teacher.
    expect(await pairsFound(net, vit)).toHaveLength(3)
    expect(await pairsFound(net, perceptron)).toEqual([
      'Relu_4_output → Relu_output',
      'Relu_6_output → Relu_1_output',
    ])
  })

  it('names the stages of the student for losses on the student alone', async () => {
    const student = subjectOf({ architecture: 'resnet', width: 4 }, images(16))
    const losses = parsed([{ loss: 'cross-entropy' }, { loss: 'deep-supervision' }])
    const settled = await settleTaps(losses, student)
    expect(settled.losses[0]).toBe(losses[0])
    expect(tapsOf(settled.losses[1]!)).toEqual(['Relu_2_output', 'Relu_4_output', 'Relu_6_output'])
    expect(settled.taught).toEqual([])
    expect(settled.note).toBe(
      "taps auto: student's 'Relu_2_output' [4,16,16], 'Relu_4_output' [8,8,8], 'Relu_6_output' [16,4,4]",
    )
  })

  it('is not kept busy by a graph that doubles again and again', async () => {
    const { model, g } = newModel('doubling')
    let x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    for (let count = 0; count < 100; count++) x = g.Add(x, x)
    const weight = g.constant(tensorOf('float32', [4, 4], new Float32Array(16)), 'weight')
    g.output('y', g.MatMul(x, weight), { dtype: 'float32', shape: ['N', 4] })
    const doubling = { model, samples: { columns: [column('x', [4])] }, where: 'student' }
    expect(endsOf(await tappable(doubling)).ends).toEqual([])
  })

  it('says that it finds nothing', async () => {
    const student = chained(['a', 'b'])
    await expect(settleTaps(feature(), student, chained(['a'], 'teacher'))).rejects.toThrow(
      "taps: 'auto' finds no stages in teacher among its 3 values — name the values in taps",
    )
  })

  it('leaves losses without taps alone', async () => {
    const losses = parsed([{ loss: 'kl' }])
    const settled = await settleTaps(losses, chained(['a']))
    expect(settled).toEqual({ losses, taught: [], note: undefined })
  })
})

describe('selectors of taps', () => {
  const teacher = chained(['block/1', 'block/2', 'inner', 'block/3', 'end'], 'teacher')
  const student = chained(['one.0', 'one.1', 'two'])

  it.each([
    ['by exact name', 'inner', 'two', ['inner → two']],
    [
      'by glob, in the order of the graphs',
      'block/[13]',
      'one.*',
      ['block/1 → one.0', 'block/3 → one.1'],
    ],
    ['by regular expression', 're:^block/[23]$', 're:^one', ['block/2 → one.0', 'block/3 → one.1']],
  ])('name values %s', async (_, theirs, own, expected) => {
    const losses = feature([{ teacher: theirs, student: own }])
    expect(await pairsFound(teacher, student, losses)).toEqual(expected)
    expect((await settleTaps(losses, student, teacher)).note).toBeUndefined()
  })

  it('name the same pair once', async () => {
    const taps = [
      { teacher: 'inner', student: 'two' },
      { teacher: 'in*', student: 're:^two$' },
    ]
    expect(await pairsFound(teacher, student, feature(taps))).toEqual(['inner → two'])
  })

  it('take names for what they are, whatever they look like', async () => {
    const names = ['a*', 'ab', 're:(', '[x', '{a,b}', '!ab', '__proto__', 'auto', "it's", 'ä ö\n']
    const [theirs, own] = [chained(names, 'teacher'), chained(names)]
    for (const name of names)
      expect(await pairsFound(theirs, own, feature([{ teacher: name, student: name }]))).toEqual([
        `${name} → ${name}`,
      ])
  })

  const mistaken = async (theirs: string, own = 'two', subject = teacher) =>
    settleTaps(feature([{ teacher: theirs, student: own }]), student, subject)

  it('that match nothing are refused', async () => {
    await expect(mistaken('inber')).rejects.toThrow(
      "teacher: taps match no value: 'inber' — use a name, a glob, or 're:…'; values near it: 'inner', 'end', 'x', 'y', 'block/1', …",
    )
    await expect(mistaken('inner', 'thre*')).rejects.toThrow(
      /^student: taps match no value: 'thre\*'/,
    )
  })

  it('that are no patterns are refused', async () => {
    await expect(mistaken('re:(')).rejects.toThrow(
      /^teacher: taps: not a regular expression: 're:\(' — [^\n]+$/,
    )
    await expect(mistaken('*'.repeat(70_000))).rejects.toThrow(/^teacher: taps: not a glob: /)
  })

  it('that match unequal numbers are refused', async () => {
    await expect(mistaken('block/*', 'one.*')).rejects.toThrow(
      "taps do not pair: 'block/*' matches 3 values of teacher, 'one.*' 2 values of student: 'block/1', 'block/2', 'block/3', and 'one.0', 'one.1' — name as many of both",
    )
  })

  it('of values that cannot be compared are refused', async () => {
    const { model, g } = newModel('odd')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const [index] = g.node('ArgMax', [x], { attributes: { axis: 1 } })
    index!.name = 'index'
    const turned = g.Transpose(x, { perm: [1, 0] })
    turned.name = 'turned'
    const [places] = g.node('NonZero', [x])
    const found = g.Cast(g.Transpose(places!, { perm: [1, 0] }), { to: 1 })
    found.name = 'found'
    const back = g.Transpose(turned, { perm: [1, 0] })
    const shown = g.Add(back, g.Cast(g.Identity(index!), { to: 1 }))
    g.output('y', g.Add(shown, g.ReduceSum(found, { keepdims: 0 })), {
      ...{ dtype: 'float32', shape: ['N', 4] },
    })
    const odd = { model, samples: { columns: [column('x', [4])] }, where: 'teacher' }
    await expect(mistaken('index', 'two', odd)).rejects.toThrow(
      "teacher: taps cannot compare a value: 'index' is int64 [11,1], not of floats — name another",
    )
    for (const selector of ['turned', 'tur*'])
      await expect(mistaken(selector, 'two', odd)).rejects.toThrow(
        "teacher: taps cannot compare a value: 'turned' [4,11] has not the samples as its first axis — name another",
      )
    await expect(mistaken('found', 'two', odd)).rejects.toThrow(
      /^teacher: taps cannot compare a value: 'found' \[.*\] has (not the samples as its first axis|a shape that is not known beforehand) — name another$/,
    )
  })

  it('name the input as well', async () => {
    expect(await pairsFound(teacher, student, feature([{ teacher: 'x', student: 'x' }]))).toEqual([
      'x → x',
    ])
  })
})
