import { describe, expect, it } from '@jest/globals'
import {
  attr,
  type Constant,
  expectSameGraph,
  floats,
  ints,
  type NodeDef,
} from './graph-support.ts'
import { countOf } from './support.ts'

/** One node `y` of the input `x` and what else it takes. */
interface Row {
  readonly shape: readonly number[]
  readonly dtype?: 'float32' | 'int32' | 'bool'
  readonly op: string
  readonly name?: string
  /** Constants that follow `x` as inputs. */
  readonly rest?: readonly Constant[]
  readonly attr?: NodeDef['attr']
  /** Which input `x` is; the first unless told. */
  readonly place?: number
  /** How many outputs it has, each of which becomes one of the model's. */
  readonly outputs?: number
}

const image = [-1, 6, 7, 3]
const space = (strides: number, padding: string, more: NodeDef['attr'] = {}): NodeDef['attr'] => ({
  strides: attr.ints([1, strides, strides, 1]),
  padding: attr.s(padding),
  data_format: attr.s('NHWC'),
  dilations: attr.ints([1, 1, 1, 1]),
  ...more,
})
const kernel = floats([3, 3, 3, 4], 'kernel')
const channelwise = floats([3, 3, 3, 2], 'depthwise')
const pooled = (size: number, strides: number, padding: string) => ({
  ...space(strides, padding),
  ksize: attr.ints([1, size, size, 1]),
})
const fusedWith = (...names: string[]) => ({
  fused_ops: attr.texts(names),
  num_args: attr.i(names.includes('Prelu') ? 2 : 1),
})
const positive = (constant: Constant): Constant => ({
  ...constant,
  values: constant.values.map((value) => 0.3 + Math.abs(value)),
})
const statistics = ['scale', 'offset', 'mean', 'variance'].map((seed) => {
  const values = floats([3], seed)
  return seed === 'variance' ? positive(values) : values
})

const unaries = [
  'Relu', 'Relu6', 'Elu', 'Selu', 'Sigmoid', 'Tanh', 'Softplus', 'Exp', 'Expm1', 'Square', 'Abs', 'Neg', 'Floor', 'Ceil', 'Round',
  'Sign', 'Sin', 'Cos', 'Tan', 'Erf', 'Softmax', 'LogSoftmax', 'Identity', 'ZerosLike', 'Reciprocal',
] // biome-ignore format: a list
const binaries = [
  'Add', 'AddV2', 'Sub', 'Mul', 'RealDiv', 'Maximum', 'Minimum', 'SquaredDifference', 'DivNoNan', 'FloorDiv',
] // biome-ignore format: a list
const comparisons = ['Equal', 'NotEqual', 'Greater', 'GreaterEqual', 'Less', 'LessEqual']
const bool = { dtype: 'bool', shape: [3], values: [1, 0, 1] } as const

const rows: readonly Row[] = [
  ...unaries.map((op) => ({ shape: [-1, 5], op })),
  ...binaries.map((op) => ({ shape: [-1, 4, 3], op, rest: [floats([4, 3], 'other')] })),
  { shape: [-1, 3], op: 'Pow', rest: [{ dtype: 'float32', shape: [], values: [2] }] },
  ...comparisons.map((op) => ({ shape: [-1, 3], op, rest: [floats([3], 'other')] })),
  ...comparisons
    .slice(0, 3)
    .map((op) => ({ shape: [-1, 3], dtype: 'int32' as const, op, rest: [ints([1, 2, 3])] })),
  ...['LogicalAnd', 'LogicalOr'].map((op) => ({
    shape: [-1, 3],
    dtype: 'bool' as const,
    op,
    rest: [bool],
  })),
  { shape: [-1, 3], dtype: 'bool', op: 'LogicalNot' },
  { shape: [-1, 3], op: 'SelectV2', place: 1, rest: [bool, floats([3], 'other')] },
  { shape: [-1, 6], op: 'LeakyRelu', attr: { alpha: attr.f(0.1) } },
  { shape: [-1, 6], op: 'Prelu', rest: [floats([6], 'slopes')] },
  { shape: [-1, 6], op: 'AddN', rest: [floats([2, 6], 'other')], attr: { N: attr.i(2) } },
  { shape: [-1, 6], op: 'FloorMod', rest: [positive(floats([6], 'other'))] },
  {
    shape: [-1, 6],
    op: 'BiasAdd',
    rest: [floats([6], 'bias')],
    attr: { data_format: attr.s('NHWC') },
  },
  {
    shape: [-1, 6],
    op: 'ClipByValue',
    rest: [
      { dtype: 'float32', shape: [], values: [-0.5] },
      { dtype: 'float32', shape: [], values: [0.5] },
    ],
  },
  { shape: [-1, 6], op: 'Cast', attr: { DstT: attr.type('DT_INT32') } },
  { shape: [-1, 6], dtype: 'int32', op: 'Cast', attr: { DstT: attr.type('DT_FLOAT') } },
  {
    shape: [-1],
    dtype: 'int32',
    op: 'OneHot',
    rest: [
      ints(5),
      { dtype: 'float32', shape: [], values: [2] },
      { dtype: 'float32', shape: [], values: [-1] },
    ],
    attr: { axis: attr.i(-1) },
  },
  // Convolutions.
  { shape: image, op: 'Conv2D', rest: [kernel], attr: space(1, 'SAME') },
  { shape: image, op: 'Conv2D', rest: [kernel], attr: space(2, 'SAME') },
  { shape: image, op: 'Conv2D', rest: [kernel], attr: space(2, 'VALID') },
  {
    shape: [-1, -1, -1, 3],
    op: 'Conv2D',
    name: 'Conv2D of any size',
    rest: [kernel],
    attr: space(2, 'SAME'),
  },
  {
    shape: image,
    op: 'Conv2D',
    name: 'Conv2D with explicit pads',
    rest: [kernel],
    attr: { ...space(2, 'EXPLICIT'), explicit_paddings: attr.ints([0, 0, 1, 2, 0, 1, 0, 0]) },
  },
  {
    shape: image,
    op: 'Conv2D',
    name: 'Conv2D, dilated',
    rest: [kernel],
    attr: { ...space(1, 'SAME'), dilations: attr.ints([1, 2, 2, 1]) },
  },
  { shape: image, op: 'DepthwiseConv2dNative', rest: [channelwise], attr: space(2, 'SAME') },
  ...['Relu', 'Relu6', 'Elu', 'Sigmoid', 'LeakyRelu'].map((activation) => ({
    shape: image,
    op: '_FusedConv2D',
    name: `_FusedConv2D ${activation}`,
    rest: [kernel, floats([4], 'bias')],
    attr: {
      ...space(1, 'SAME'),
      ...fusedWith('BiasAdd', activation),
      leakyrelu_alpha: attr.f(0.3),
    },
  })),
  {
    shape: image,
    op: '_FusedConv2D',
    name: '_FusedConv2D Prelu',
    rest: [kernel, floats([4], 'bias'), floats([4], 'slopes')],
    attr: { ...space(1, 'SAME'), ...fusedWith('BiasAdd', 'Prelu') },
  },
  {
    shape: image,
    op: '_FusedConv2D',
    name: '_FusedConv2D with a bias alone',
    rest: [kernel, floats([4], 'bias')],
    attr: { ...space(1, 'VALID'), ...fusedWith('BiasAdd') },
  },
  {
    shape: image,
    op: 'FusedDepthwiseConv2dNative',
    rest: [channelwise, floats([6], 'bias')],
    attr: { ...space(1, 'SAME'), ...fusedWith('BiasAdd', 'Relu6') },
  },
  {
    shape: [2, 4, 5, 3],
    op: 'Conv2DBackpropInput',
    place: 2,
    rest: [ints([2, 8, 10, 2]), floats([3, 3, 2, 3], 'transposed')],
    attr: space(2, 'SAME'),
  },
  // Products.
  {
    shape: [-1, 4],
    op: 'MatMul',
    rest: [floats([4, 5])],
    attr: { transpose_a: attr.b(false), transpose_b: attr.b(false) },
  },
  {
    shape: [-1, 4],
    op: 'MatMul',
    name: 'MatMul, transposed',
    rest: [floats([5, 4])],
    attr: { transpose_b: attr.b(true) },
  },
  {
    shape: [-1, 3, 4],
    op: 'BatchMatMulV2',
    rest: [floats([2, 5, 4])],
    attr: { adj_y: attr.b(true) },
  },
  {
    shape: [-1, 4],
    op: '_FusedMatMul',
    rest: [floats([4, 5]), floats([5], 'bias')],
    attr: {
      ...fusedWith('BiasAdd', 'Relu'),
      transpose_a: attr.b(false),
      transpose_b: attr.b(false),
    },
  },
  {
    shape: [-1, 3, 4],
    op: 'Einsum',
    name: 'Einsum',
    rest: [floats([4, 2, 5])],
    attr: { equation: attr.s('abc,cde->abde'), N: attr.i(2) },
  },
  // Normalisations and pools.
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'].map((op) => ({
    shape: image,
    op,
    rest: statistics,
    attr: { epsilon: attr.f(0.001), data_format: attr.s('NHWC'), is_training: attr.b(false) },
  })),
  { shape: image, op: 'MaxPool', attr: pooled(2, 2, 'VALID') },
  { shape: image, op: 'MaxPool', attr: pooled(3, 2, 'SAME') },
  { shape: image, op: 'AvgPool', attr: pooled(3, 2, 'SAME') },
  // Reductions.
  ...['Mean', 'Sum', 'Max', 'Min', 'Prod'].flatMap((op) =>
    [true, false].map((keep) => ({
      shape: image,
      op,
      name: `${op}, keep_dims ${keep}`,
      rest: [ints([1, 2])],
      attr: { keep_dims: attr.b(keep) },
    })),
  ),
  ...['All', 'Any'].map((op) => ({
    shape: [-1, 3],
    dtype: 'bool' as const,
    op,
    rest: [ints([1])],
  })),
  { shape: [-1, 5, 3], op: 'ArgMax', rest: [ints(1)] },
  { shape: [-1, 5, 3], op: 'ArgMin', rest: [ints(-1)] },
  // Shapes.
  { shape: [-1, 4, 3], op: 'Reshape', rest: [ints([-1, 12])] },
  { shape: [-1, 4, 3], op: 'Reshape', name: 'Reshape to one row a step', rest: [ints([-1, 3])] },
  { shape: [-1, 1, 3, 1], op: 'Squeeze', attr: { squeeze_dims: attr.ints([1]) } },
  { shape: [2, 1, 3], op: 'Squeeze', name: 'Squeeze of everything' },
  { shape: [-1, 3], op: 'ExpandDims', rest: [ints(-1)] },
  { shape: [-1, 4, 3], op: 'Transpose', rest: [ints([0, 2, 1])] },
  { shape: [-1, 3], op: 'ConcatV2', rest: [floats([2, 2]), ints(1)], attr: { N: attr.i(2) } },
  { shape: [-1, 3], op: 'Pack', rest: [floats([2, 3])], attr: { axis: attr.i(1), N: attr.i(2) } },
  { shape: [-1, 3], op: 'Unpack', attr: { axis: attr.i(1), num: attr.i(3) }, outputs: 3 },
  {
    shape: [-1, 6],
    op: 'Split',
    place: 1,
    rest: [ints(1)],
    attr: { num_split: attr.i(2) },
    outputs: 2,
  },
  {
    shape: [-1, 6],
    op: 'SplitV',
    rest: [ints([1, 2, 3]), ints(1)],
    attr: { num_split: attr.i(3) },
    outputs: 3,
  },
  { shape: [-1, 6, 4], op: 'Slice', rest: [ints([0, 1, 2]), ints([-1, 3, -1])] },
  {
    shape: [-1, 6],
    op: 'GatherV2',
    rest: [ints([3, 0, 5]), ints(1)],
    attr: { batch_dims: attr.i(0) },
  },
  { shape: [-1, 6], op: 'Pad', rest: [{ ...ints([0, 0, 1, 2]), shape: [2, 2] }] },
  {
    shape: [-1, 6],
    op: 'PadV2',
    rest: [
      { ...ints([0, 0, 1, 2]), shape: [2, 2] },
      { dtype: 'float32', shape: [], values: [7] },
    ],
  },
  {
    shape: [-1, 6],
    op: 'MirrorPad',
    rest: [{ ...ints([0, 0, 1, 2]), shape: [2, 2] }],
    attr: { mode: attr.s('REFLECT') },
  },
  { shape: [-1, 3], op: 'Tile', rest: [ints([1, 2])] },
  { shape: [-1, 5, 3], op: 'ReverseV2', rest: [ints([1, 2])] },
  {
    shape: [-1, 5],
    op: 'Cumsum',
    rest: [ints(1)],
    attr: { exclusive: attr.b(true), reverse: attr.b(false) },
  },
  {
    shape: [-1, 5],
    op: 'Cumsum',
    rest: [ints(1)],
    attr: { exclusive: attr.b(false), reverse: attr.b(true) },
  },
  { shape: [-1, 7], op: 'TopKV2', rest: [ints(3)], attr: { sorted: attr.b(true) }, outputs: 2 },
  { shape: [4, 3], op: 'Rank' },
  { shape: [4, 3], op: 'Size' },
  { shape: [-1, 6], op: 'Gather', name: 'Gather of rows', rest: [ints([1, 0])] },
  { shape: [-1, 3, 4], op: 'BatchMatMul', rest: [floats([2, 4, 5])] },
  { shape: [1, 3], op: 'BroadcastTo', rest: [ints([4, 3])] },
  {
    shape: [-1, 4, 4, 8],
    op: 'DepthToSpace',
    attr: { block_size: attr.i(2), data_format: attr.s('NHWC') },
  },
  ...(
    [
      [{}, [0, 1, 0], [0, 5, 0], [1, 2, 1], 'steps'],
      [{ shrink_axis_mask: 2 }, [0, 1, 0], [0, 2, 0], [1, 1, 1], 'one place'],
      [{ shrink_axis_mask: 2 }, [0, -1, 0], [0, 0, 0], [1, 1, 1], 'the last place'],
      [{ begin_mask: 2, end_mask: 2 }, [0, 0, 0], [0, 0, 0], [1, -1, 1], 'backwards'],
      [{ ellipsis_mask: 1, begin_mask: 0, end_mask: 0 }, [0, 1], [0, 3], [1, 1], 'an ellipsis'],
      [
        { new_axis_mask: 2, begin_mask: 1, end_mask: 1 },
        [0, 0, 1],
        [0, 0, 4],
        [1, 1, 1],
        'a new axis',
      ],
    ] as const
  ).map(([masks, begin, end, strides, what]) => ({
    shape: [-1, 6, 4],
    op: 'StridedSlice',
    name: `StridedSlice: ${what}`,
    rest: [ints(begin), ints(end), ints(strides)],
    attr: Object.fromEntries(
      Object.entries({
        begin_mask: 5,
        end_mask: 5,
        ellipsis_mask: 0,
        new_axis_mask: 0,
        shrink_axis_mask: 0,
        ...masks,
      }).map(([key, value]) => [key, attr.i(value)]),
    ),
  })),
  // Resizes, in the three placements.
  ...['ResizeBilinear', 'ResizeNearestNeighbor'].flatMap((op) =>
    [
      [false, false],
      [true, false],
      [false, true],
    ].flatMap(([align, half]) =>
      [
        [9, 11],
        [4, 5],
        [12, 14],
      ].map((sizes) => ({
        shape: image,
        op,
        name: `${op} to ${sizes}, align_corners ${align}, half_pixel_centers ${half}`,
        rest: [ints(sizes)],
        attr: { align_corners: attr.b(align!), half_pixel_centers: attr.b(half!) },
      })),
    ),
  ),
]

describe('each operator', () => {
  it.each(rows.map((row) => [row.name ?? row.op, row.shape, row] as const))(
    '%s of %j gives what TensorFlow.js gives',
    async (_, shape, {
      op,
      dtype = 'float32',
      rest = [],
      attr: attributes,
      place = 0,
      outputs = 1,
    }) => {
      const names = rest.map((__, index) => `constant_${index}`)
      const node: NodeDef = {
        name: 'y',
        op,
        input: names.toSpliced(place, 0, 'x'),
        attr: { T: attr.type('DT_FLOAT'), ...attributes },
      }
      const made = Array.from({ length: outputs }, (__, index) => ({
        name: `out_${index}`,
        op: 'Identity',
        input: [index === 0 ? 'y' : `y:${index}`],
      }))
      await expectSameGraph({
        inputs: { x: { shape, dtype } },
        constants: Object.fromEntries(names.map((name, index) => [name, rest[index]!])),
        nodes: outputs > 1 ? [node, ...made] : [node],
      })
    },
  )

  it.each(['Log', 'Log1p', 'Sqrt', 'Rsqrt', 'Atan'])('%s of positive numbers', async (op) => {
    await expectSameGraph({
      inputs: { x: { shape: [-1, 5] } },
      nodes: [
        { name: 'positive', op: 'Exp', input: ['x'] },
        { name: 'y', op, input: ['positive'] },
      ],
    })
  })
})

describe('shapes that are computed', () => {
  const masks = {
    begin_mask: attr.i(0),
    end_mask: attr.i(0),
    ellipsis_mask: attr.i(0),
    new_axis_mask: attr.i(0),
  }

  it('leaves nothing of a flattening but a Reshape', async () => {
    const model = await expectSameGraph({
      inputs: { x: { shape: [-1, 4, 3] } },
      constants: { begin: ints([0]), end: ints([1]), one: ints([1]), width: ints(12) },
      nodes: [
        { name: 'shape', op: 'Shape', input: ['x'], attr: { out_type: attr.type('DT_INT32') } },
        {
          name: 'batch',
          op: 'StridedSlice',
          input: ['shape', 'begin', 'end', 'one'],
          attr: { ...masks, shrink_axis_mask: attr.i(1) },
        },
        {
          name: 'target',
          op: 'Pack',
          input: ['batch', 'width'],
          attr: { axis: attr.i(0), N: attr.i(2) },
        },
        { name: 'flat', op: 'Reshape', input: ['x', 'target'] },
        { name: 'y', op: 'Relu', input: ['flat'] },
      ],
      outputs: { result: 'y:0' },
    })
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Reshape', 'Relu'])
    expect(model.graph.outputs[0]?.type?.shape).toEqual(['N', 12])
  })

  it('resizes to twice the size of what it is given', async () => {
    await expectSameGraph({
      inputs: { x: { shape: [-1, 4, 5, 2] } },
      constants: { begin: ints([1]), end: ints([3]), one: ints([1]), two: ints(2) },
      nodes: [
        { name: 'shape', op: 'Shape', input: ['x'] },
        {
          name: 'space',
          op: 'StridedSlice',
          input: ['shape', 'begin', 'end', 'one'],
          attr: { ...masks, shrink_axis_mask: attr.i(0) },
        },
        { name: 'size', op: 'Mul', input: ['space', 'two'] },
        {
          name: 'y',
          op: 'ResizeBilinear',
          input: ['x', 'size'],
          attr: { half_pixel_centers: attr.b(true), align_corners: attr.b(false) },
        },
      ],
    })
  })

  it('counts with constants before anything runs', async () => {
    const model = await expectSameGraph({
      inputs: { x: { shape: [-1, 6] } },
      constants: { zero: ints(0), six: ints(6), two: ints(2), axis: ints(1) },
      nodes: [
        { name: 'even', op: 'Range', input: ['zero', 'six', 'two'] },
        { name: 'y', op: 'GatherV2', input: ['x', 'even', 'axis'] },
      ],
    })
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Gather'])
  })

  it('chooses whole values by a condition', async () => {
    await expectSameGraph({
      inputs: { x: { shape: [-1, 6] } },
      constants: { half: floats([2, 6], 'half') },
      nodes: [
        { name: 'more', op: 'Greater', input: ['x', 'half'] },
        { name: 'y', op: 'Select', input: ['more', 'x', 'half'] },
      ],
    })
  })

  it('fills a tensor of the size of the batch', async () => {
    await expectSameGraph({
      inputs: { x: { shape: [-1, 3] } },
      constants: {
        begin: ints([0]),
        end: ints([1]),
        one: ints([1]),
        columns: ints([3]),
        axis: ints(0),
        value: { dtype: 'float32', shape: [], values: [2.5] },
      },
      nodes: [
        { name: 'shape', op: 'Shape', input: ['x'] },
        {
          name: 'batch',
          op: 'StridedSlice',
          input: ['shape', 'begin', 'end', 'one'],
          attr: { ...masks, shrink_axis_mask: attr.i(0) },
        },
        {
          name: 'dims',
          op: 'ConcatV2',
          input: ['batch', 'columns', 'axis'],
          attr: { N: attr.i(2) },
        },
        { name: 'full', op: 'Fill', input: ['dims', 'value'] },
        { name: 'y', op: 'AddV2', input: ['x', 'full'] },
      ],
    })
  })
})

describe('a dilated convolution written as blocks', () => {
  it.each([
    [[1, 1, 1, 1], [0, 0, 0, 0], 6],
    [[0, 1, 1, 2], [0, 1, 0, 1], 7],
  ])('gives the same with paddings %j and crops %j', async (paddings, crops, size) => {
    await expectSameGraph({
      inputs: { x: { shape: [-1, size, size === 6 ? 6 : 5, 3] } },
      constants: {
        blocks: ints([2, 2]),
        paddings: { ...ints(paddings), shape: [2, 2] },
        crops: { ...ints(crops), shape: [2, 2] },
        kernel: floats([2, 2, 3, 4], 'kernel'),
      },
      nodes: [
        { name: 'parts', op: 'SpaceToBatchND', input: ['x', 'blocks', 'paddings'] },
        { name: 'conv', op: 'Conv2D', input: ['parts', 'kernel'], attr: space(1, 'VALID') },
        { name: 'y', op: 'BatchToSpaceND', input: ['conv', 'blocks', 'crops'] },
      ],
    })
  })
})

describe('a whole graph model', () => {
  it('converts a separable net and leaves one transpose, that of the image', async () => {
    const bias = (name: string) => floats([4], name)
    const model = await expectSameGraph({
      inputs: { image: { shape: [-1, 10, 10, 3] } },
      constants: {
        stem: floats([3, 3, 3, 4], 'stem'),
        stem_bias: bias('b1'),
        deep: floats([3, 3, 4, 1], 'deep'),
        deep_bias: bias('b2'),
        point: floats([1, 1, 4, 4], 'point'),
        point_bias: bias('b3'),
        axes: ints([1, 2]),
        weight: floats([4, 6], 'weight'),
        last: floats([6], 'last'),
      },
      nodes: [
        { name: 'y', op: 'Softmax', input: ['logits'] },
        {
          name: 'a',
          op: '_FusedConv2D',
          input: ['image', 'stem', 'stem_bias'],
          attr: { ...space(2, 'SAME'), ...fusedWith('BiasAdd', 'Relu6') },
        },
        {
          name: 'b',
          op: 'FusedDepthwiseConv2dNative',
          input: ['a', 'deep', 'deep_bias'],
          attr: { ...space(1, 'SAME'), ...fusedWith('BiasAdd', 'Relu6') },
        },
        {
          name: 'c',
          op: '_FusedConv2D',
          input: ['b', 'point', 'point_bias'],
          attr: { ...space(1, 'SAME'), ...fusedWith('BiasAdd') },
        },
        { name: 'sum', op: 'AddV2', input: ['a', 'c', '^b'] },
        { name: 'pooled', op: 'Mean', input: ['sum', 'axes'], attr: { keep_dims: attr.b(false) } },
        {
          name: 'logits',
          op: '_FusedMatMul',
          input: ['pooled', 'weight', 'last'],
          attr: fusedWith('BiasAdd'),
        },
      ],
      outputs: { scores: 'y:0' },
    })
    expect(countOf(model, 'Transpose')).toBe(1)
    expect(countOf(model, 'Conv')).toBe(3)
    expect(countOf(model, 'Gemm')).toBe(1)
  })

  it('takes two inputs and gives two outputs of one node', async () => {
    await expectSameGraph({
      inputs: { a: { shape: [-1, 4] }, b: { shape: [-1, 4] } },
      constants: { axis: ints(1) },
      nodes: [
        { name: 'sum', op: 'AddV2', input: ['a', 'b'] },
        { name: 'parts', op: 'Split', input: ['axis', 'sum'], attr: { num_split: attr.i(2) } },
        { name: 'first', op: 'Identity', input: ['parts'] },
        { name: 'second', op: 'Neg', input: ['parts:1'] },
      ],
      outputs: { first: 'first:0', second: 'second:0' },
    })
  })
})
