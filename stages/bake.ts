// Preprocessing as a part of the graph: the exported model takes samples as they come out of a file, and nobody who
// deploys it has to know what it was trained on.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Preprocessing } from '../data/preprocess.ts'
import { type Builder, build } from '../onnx/build.ts'
import { cloneModel } from '../onnx/clone.ts'
import { type Dim, type Model, opsetOf, type Value } from '../onnx/graph.ts'
import { dataTypes, tensorOf } from '../onnx/tensor.ts'

const details = z.strictObject({
  layout: z
    .enum(['nhwc', 'nchw'])
    .default('nhwc')
    .describe('nhwc: the channels of a pixel side by side, as decoders give them; nchw: planes.'),
})

/** Schema of the option `bake` of the stage export. */
export const bakeOptions = z
  .union([z.boolean(), details])
  .describe(
    'Put preprocessing into the graph, so that it takes samples as they are stored: bytes of images, [batch, height, width, channels] unless told.',
  )

/** How the baked model takes its input. */
export interface BakeDetails extends z.input<typeof details> {
  /** Type of the new input; what the data is stored as unless given. */
  readonly dtype?: 'uint8' | 'float32'
}

/** What the option asks for; undefined where nothing is to be baked. */
export function bakeDetails(option: z.output<typeof bakeOptions>): BakeDetails | undefined {
  return option === true ? {} : option === false ? undefined : option
}

/** Before this, elementwise operators do not broadcast and Gather and Pad are other ones. */
const oldestOpset = 7
/** From here on Pad takes its sizes as an input. */
const padsAsInput = 11

/**
 * Puts preprocessing before an input: `baked(raw) = model(arrange(preprocess(raw)))`, but for rounding (one
 * multiplication and one addition for scale, mean and std).
 *
 * The input keeps its name and its batch dimension; it becomes `[batch, …]` of the stored samples, red before green
 * before blue. The model itself is not changed. An input that does not take such samples is a {@link UserError}.
 */
export function bake(
  model: Model,
  inputName: string,
  preprocessing: Preprocessing,
  { layout = 'nhwc', dtype = preprocessing.stored }: BakeDetails = {},
): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  const input = graph.feeds.find(({ name }) => name === inputName)
  if (!input)
    throw new UserError(
      `bake: the model has no input of that name: '${inputName}' — it has ${graph.feeds.map(({ name }) => `'${name}'`).join(', ')}`,
    )
  if (opsetOf(copy) < oldestOpset)
    throw new UserError(
      `bake: the model's opset is too old: ${opsetOf(copy)} — raise it to ${oldestOpset} or later with 'opset'`,
    )
  const wanted = check(input, preprocessing)
  const users = [...input.users]
  const outputs = [...graph.outputs]
  const isPlanar = layout === 'nchw' || preprocessing.from.length !== 3
  const [channels, ...edges] = preprocessing.from
  const stored = isPlanar ? preprocessing.from : [...edges, channels]
  input.type = { dtype, shape: [input.type?.shape?.[0], ...stored] }
  // What the file said of the input was about another one.
  input.extra = undefined
  const g = build(graph, graph.nodes[0])
  const ready = written(g, opsetOf(copy), input, preprocessing, { dtype, isPlanar, wanted })
  for (const user of users)
    for (const [index, value] of user.inputs.entries())
      if (value === input) user.setInput(index, ready)
  for (const [index, value] of outputs.entries()) if (value === input) graph.outputs[index] = ready
  return copy
}

interface Wanted {
  readonly dtype: 'float32' | 'float16' | 'float64'
  /** The shape of a sample where the model has axes of length 1 more or fewer. */
  readonly reshaped?: readonly number[]
}

function check({ name, type }: Value, { shape }: Preprocessing): Wanted {
  const dtype = type?.dtype
  if (dtype !== 'float32' && dtype !== 'float16' && dtype !== 'float64')
    throw new UserError(
      `bake: input '${name}' takes no floats: ${dtype ?? 'of unknown type'} — leave bake out`,
    )
  const dims: readonly Dim[] | undefined = type?.shape?.slice(1)
  const fits =
    dims?.length === shape.length &&
    dims.every((dim, axis) => typeof dim !== 'number' || dim === shape[axis])
  if (!dims || fits) return { dtype }
  const lean = (dims: readonly Dim[]) => dims.filter((dim) => dim !== 1).join()
  if (dims.every((dim) => typeof dim === 'number') && lean(dims) === lean(shape))
    return { dtype, reshaped: dims }
  throw new UserError(
    `bake: input '${name}' takes other samples than preprocessing gives: [${dims.map((dim) => dim ?? '?').join(', ')}], it gives [${shape.join(', ')}] — set preprocess.layout and pad as the model needs them`,
  )
}

/** Writes the nodes; a border comes first, for what is 0 in the data becomes the background by itself. */
function written(
  g: Builder,
  opset: number,
  input: Value,
  { from, pad, scale, mean, std, colour, layout }: Preprocessing,
  form: { readonly dtype: string; readonly isPlanar: boolean; readonly wanted: Wanted },
): Value {
  const { dtype, isPlanar, wanted } = form
  const isImage = from.length === 3
  let value = dtype === 'float32' ? input : g.Cast(input, { to: dataTypes.float32.code })
  if (pad > 0) value = padded(g, opset, value, isPlanar ? [0, 0, pad, pad] : [0, pad, pad, 0])
  // Last in memory, constants of [C] broadcast as they are.
  const dims = isImage ? (isPlanar ? [mean.length, 1, 1] : [mean.length]) : []
  const constant = (values: readonly number[], name: string) =>
    g.constant(tensorOf('float32', dims, values), name)
  const factors = std.map((divisor) => scale / divisor)
  const offsets = mean.map((subtracted, channel) => -subtracted / std[channel]!)
  if (factors.some((factor) => factor !== 1))
    value = g.Mul(value, constant(factors, 'preprocess_factor'))
  if (offsets.some((offset) => offset !== 0))
    value = g.Add(value, constant(offsets, 'preprocess_offset'))
  if (colour === 'bgr') value = g.Gather(value, [2, 1, 0], { axis: isPlanar ? 1 : 3 })
  if (isImage && isPlanar !== (layout === 'nchw'))
    value = g.Transpose(value, { perm: isPlanar ? [0, 2, 3, 1] : [0, 3, 1, 2] })
  if (wanted.reshaped) value = g.Reshape(value, [-1, ...wanted.reshaped])
  if (wanted.dtype !== 'float32') value = g.Cast(value, { to: dataTypes[wanted.dtype].code })
  // A model whose output is its input still has a node that makes it.
  return value === input ? g.Identity(value) : value
}

function padded(g: Builder, opset: number, value: Value, sizes: readonly number[]): Value {
  const pads = [...sizes, ...sizes]
  return opset < padsAsInput ? g.Pad(value, { pads, mode: 'constant' }) : g.Pad(value, pads)
}
