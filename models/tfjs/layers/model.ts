// Walks the config of a layers model, calls inside calls, and writes each through its rule.
import { UserError } from '../../../base/errors.ts'
import type { Dim } from '../../../onnx/graph.ts'
import type { Tensor } from '../../../onnx/tensor.ts'
import type { ModelFile } from '../model-file.ts'
import type { Term } from '../term.ts'
import type { Writer } from '../writer.ts'
import { type Config, configOf, type LayerConfig, layerConfigOf } from './config.ts'
import {
  containers,
  deepest,
  inboundOf,
  type Listed,
  layersOf,
  type Reference,
  references,
  tooMuch,
  unknownClasses,
} from './listing.ts'
import { layerRules } from './table.ts'

/** More calls of layers are no real model: models inside models, each called twice, soon fill any memory. */
const mostCalls = 100_000

/** What the walk shares. */
interface Walk {
  readonly w: Writer
  readonly weights: ReadonlyMap<string, Term>
  /** How many layers are open, one inside the other, and how many were called. */
  depth: number
  calls: number
}

/** Writes a layers model and its outputs. */
export function writeLayersModel(
  w: Writer,
  file: ModelFile,
  tensors: ReadonlyMap<string, Tensor>,
): void {
  const topology = configOf(file.modelTopology, w.where)
  const given = topology.raw('model_config') ?? file.modelTopology
  if (typeof given !== 'object' || given === null)
    throw new UserError(`${w.where}: no model_config — save the model again`)
  const model = layerConfigOf(given, w.where)
  if (!containers.has(model.className))
    throw new UserError(
      `${w.where}: no model: '${model.className}' — give a Sequential or functional model`,
    )
  const unknown = [...unknownClasses(model, w.where)]
  if (unknown.length > 0)
    throw new UserError(
      `${w.where}: layers that are not converted: ${unknown.join(', ')} — replace them, or convert the model to ONNX elsewhere`,
    )
  const weights = new Map<string, Term>()
  for (const [name, tensor] of tensors) {
    const term = w.constant(name, () => tensor)
    weights.set(name, term)
    // Since TensorFlow 2.2 a recurrent layer's cell stands between its name and the weight's.
    const parts = name.split('/')
    const short = [...parts.slice(0, -2), parts.at(-1)].join('/')
    if (!tensors.has(short)) weights.set(short, term)
  }
  const walk: Walk = { w, weights, depth: 0, calls: 0 }
  const outputs = container(walk, model, undefined)
  for (const { name, term } of outputs) {
    if (!term) throw new UserError(`${w.where}: output '${name}' is nowhere made`)
    w.output(name, term)
  }
}

/** A named result: an output's name is that of its layer. */
interface Output {
  readonly name: string
  readonly term: Term | undefined
}

/** `inputs` are those of a call; the outermost model makes its own. */
const container = (
  walk: Walk,
  model: LayerConfig,
  inputs: readonly Term[] | undefined,
): Output[] =>
  model.className === 'Sequential'
    ? sequential(walk, model, inputs)
    : functional(walk, model, inputs)

function sequential(walk: Walk, model: LayerConfig, inputs: readonly Term[] | undefined): Output[] {
  const layers = layersOf(model, walk.w.where)
  const [first] = layers
  if (!first) throw new UserError(`${walk.w.where}: a Sequential without layers`)
  const hasInput = first.className === 'InputLayer'
  let terms = inputs ?? [headInput(walk, first)]
  for (const layer of hasInput ? layers.slice(1) : layers)
    terms = callLayer(walk, layer.name, layer, terms)
  const last = layers.at(-1)!.name
  return terms.map((term, index) => ({ name: index === 0 ? last : `${last}_${index}`, term }))
}

/** The input of a Sequential: its first layer tells the shape, or that one's first if it is a model itself. */
function headInput(walk: Walk, layer: Listed): Term {
  const { where } = walk.w
  if (layer.className === 'InputLayer') return inputOf(walk, layer.name, layer.config)
  if (!containers.has(layer.className)) return inputOf(walk, `${layer.name}_input`, layer.config)
  const layers = layersOf(layer, where)
  const isList = layer.className === 'Sequential'
  const [name] = isList ? [] : (references(layer.config.raw('input_layers'), where)[0] ?? [])
  const first = isList ? layers[0] : layers.find((each) => each.name === name)
  if (!first) throw new UserError(`${where}: a model without an input`)
  return headInput(walk, first)
}

function functional(walk: Walk, model: LayerConfig, inputs: readonly Term[] | undefined): Output[] {
  const { w } = walk
  const layers = layersOf(model, w.where)
  const inputNames = references(model.config.raw('input_layers'), w.where).map(([name]) => name)
  const calls = new Map<string, (readonly Term[])[]>()
  for (const layer of layers) {
    if (layer.className === 'InputLayer') {
      const place = inputNames.indexOf(layer.name)
      const fed = inputs ? inputs[place] : inputOf(walk, layer.name, layer.config)
      if (!fed) throw new UserError(`${w.where}: input '${layer.name}' of a model is not fed`)
      calls.set(layer.name, [[fed]])
    } else if (containers.has(layer.className)) {
      // A model is called once when it is made, before any call that counts.
      calls.set(layer.name, [[]])
    } else calls.set(layer.name, [])
  }
  const find = ([name, call, output]: Reference) => calls.get(name)?.[call]?.[output]
  let waiting = layers.flatMap((layer) =>
    layer.className === 'InputLayer'
      ? []
      : inboundOf(layer, w.where).map((from) => ({ layer, from })),
  )
  while (waiting.length > 0) {
    const later: typeof waiting = []
    const blocked = new Set<string>()
    for (const each of waiting) {
      const terms = each.from.map(find)
      // The calls of one layer are numbered in their order.
      if (blocked.has(each.layer.name) || terms.includes(undefined)) {
        blocked.add(each.layer.name)
        later.push(each)
      } else {
        const { name } = each.layer
        calls.get(name)!.push(callLayer(walk, name, each.layer, terms as Term[]))
      }
    }
    if (later.length === waiting.length)
      throw new UserError(
        `${w.where}: layer '${later[0]!.layer.name}' takes what no layer makes — save the model again`,
      )
    waiting = later
  }
  return references(model.config.raw('output_layers'), w.where).map((reference) => ({
    name: reference[0],
    term: find(reference),
  }))
}

function callLayer(
  walk: Walk,
  name: string,
  layer: LayerConfig,
  inputs: readonly Term[],
): readonly Term[] {
  const { w, weights } = walk
  const { className, config } = layer
  walk.calls++
  if (walk.depth > deepest) throw tooMuch(w.where, `layers inside layers, deeper than ${deepest}`)
  if (walk.calls > mostCalls) throw tooMuch(w.where, `more than ${mostCalls} calls of layers`)
  if (containers.has(className))
    return inside(walk, () => container(walk, layer, inputs)).map(({ name: output, term }) => {
      if (!term) throw new UserError(`${w.where}: output '${output}' is nowhere made`)
      return term
    })
  const rule = layerRules.get(className)
  const [x] = inputs
  if (!rule || !x)
    throw new UserError(`${w.where}: layer '${name}': not converted: ${className} of no inputs`)
  const made = rule({
    w,
    name,
    config,
    inputs,
    x,
    weight(suffix) {
      const weight = weights.get(`${name}/${suffix}`)
      if (weight) return weight
      throw new UserError(
        `${w.where}: layer '${name}': no weight '${name}/${suffix}' in the manifest — save the model with its weights`,
      )
    },
    call: (inner, innerLayer, terms) =>
      inside(walk, () => callLayer(walk, inner, innerLayer, terms)),
  })
  return Array.isArray(made) ? made : [made as Term]
}

function inside<Result>(walk: Walk, write: () => Result): Result {
  walk.depth++
  const result = write()
  walk.depth--
  return result
}

/** dtypes of inputs; TensorFlow.js has no other integers than int32. */
const inputTypes = new Map([
  ['float32', 'float32'],
  ['float16', 'float32'],
  ['int32', 'int32'],
  ['int64', 'int32'],
  ['bool', 'bool'],
] as const)

function inputOf({ w }: Walk, name: string, config: Config): Term {
  const given = config.raw('batch_input_shape') ?? config.raw('batch_shape')
  const dims = Array.isArray(given) ? given : undefined
  if (!dims?.every((dim) => dim === null || (Number.isInteger(dim) && dim > 0)) || dims.length > 8)
    throw new UserError(
      `${w.where}: input '${name}': no shape: ${JSON.stringify(given)} — save the model with its input's shape`,
    )
  const dtype = inputTypes.get(config.name('dtype', 'float32') as 'float32')
  if (!dtype)
    throw new UserError(
      `${w.where}: input '${name}': dtype '${config.name('dtype', '')}' is not converted — use numbers`,
    )
  const shape = dims.map((dim, axis): Dim => dim ?? (axis === 0 ? 'N' : `${name}_${axis}`))
  return w.input(name, { dtype, shape })
}
