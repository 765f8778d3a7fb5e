// Writing fake quantization into a float model, where static quantization will put its pairs.
import { UserError } from '../../../base/errors.ts'
import { type Builder, build } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import {
  constantOf,
  type Graph,
  type Model,
  type Node,
  opsetOf,
  Value,
  type ValueType,
} from '../../../onnx/graph.ts'
import { elements, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import {
  type FakeQuantized,
  largestSteps,
  learnedClipping,
  learnedSteps,
  observedSteps,
  type QuantizerNotes,
  type Quantizers,
  quantizerNotes,
  type Spread,
  sameSteps,
  ternary,
  type Writing,
} from '../../../train/fake-quantize.ts'
import { limits, quantizationOf, quantizeValues, type Range } from '../arithmetic.ts'
import { extend } from '../histogram.ts'
import { quantizationRuleOf } from '../operators.ts'
import { activationsOf, type Placement } from '../placement.ts'
import type { ActivationType } from '../static.ts'
import { clusteredWeight } from './clusters.ts'
import { leastErrorSteps } from './initial-steps.ts'
import type { AwareOptions } from './options.ts'

/** What is quantized how. */
export interface AwareStorage {
  readonly weightBits: number
  readonly activations: ActivationType
  readonly activationBits: number
  readonly symmetricActivations: boolean
  readonly perChannel: boolean
}

/** An activation in the model that is trained. */
export interface AwareActivation {
  /** Names of its step, and of the number of levels below zero where that follows the range. */
  readonly scale: string
  readonly zero: string | undefined
  /** The integer that means 0, or (with `zero`) the lowest one. */
  readonly offset: number
}

/** Weights of a layer in the model that is trained: names of their steps and whole numbers. */
export interface AwareWeight {
  readonly scale: string
  readonly levels: string
}

/** A float model with fake quantization in it. */
export interface AwareModel {
  readonly model: Model
  readonly quantizers: Quantizers
  /** By the name that the value has in the model without. */
  readonly activations: ReadonlyMap<string, AwareActivation>
  /** By the name of the weights. */
  readonly weights: ReadonlyMap<string, AwareWeight>
  /** How constants that are activations are stored, by name. */
  readonly constants: ReadonlyMap<string, ReturnType<typeof quantizationOf>>
  /** By initializer: 0 where a weight stays zero. */
  readonly masks: ReadonlyMap<string, Float32Array>
}

/** The integers that a type of so many bits has, of those of an activation. */
export function levelsOf(type: ActivationType, bits: number): readonly [number, number] {
  return limits[type][0] < 0 ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
}

/**
 * Gives a copy of a model with fake quantization where `placement` wants pairs.
 *
 * The model and the placement stay as they are.
 */
export function insertFakeQuantization(
  model: Model,
  placement: Placement,
  values: KnownValues,
  storage: AwareStorage,
  options: AwareOptions,
): AwareModel {
  return new Insertion(model, placement, values, storage, options).run()
}

/** What is known of the values of a model. */
interface KnownValues {
  /** The range that an activation starts from. */
  readonly rangeOf: (value: Value) => Range
  readonly types: ReadonlyMap<Value, ValueType>
}

/** One writing of fake quantization into a copy. */
class Insertion {
  readonly #model: Model
  readonly #copy: Model
  readonly #graph: Graph
  readonly #placement: Placement
  readonly #values: KnownValues
  readonly #storage: AwareStorage
  readonly #options: AwareOptions
  readonly #notes: QuantizerNotes = quantizerNotes()
  readonly #activations = new Map<string, AwareActivation>()
  readonly #scales = new Map<string, Value>()
  readonly #weights = new Map<string, AwareWeight>()
  readonly #constants = new Map<string, ReturnType<typeof quantizationOf>>()
  readonly #masks = new Map<string, Float32Array>()
  /** What layers read instead of their weights, by name. */
  readonly #quantized = new Map<string, { readonly value: Value; readonly axis: number }>()
  /** Values by name, as they were before. */
  readonly #byName: ReadonlyMap<string, Value>

  constructor(
    model: Model,
    placement: Placement,
    values: KnownValues,
    storage: AwareStorage,
    options: AwareOptions,
  ) {
    const copy = cloneModel(model)
    this.#model = model
    this.#copy = copy
    this.#graph = copy.graph
    this.#placement = placement
    this.#values = values
    this.#storage = storage
    this.#options = options
    const { inputs, initializers, nodes } = copy.graph
    const made = nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
    this.#byName = new Map(
      [...inputs, ...initializers, ...made].map((value) => [value.name, value]),
    )
  }

  run(): AwareModel {
    const before = [...this.#graph.nodes]
    for (const [index, node] of this.#model.graph.nodes.entries())
      if (this.#placement.nodes.has(node) && quantizationRuleOf(node)?.kind === 'layer')
        this.#layer(before[index]!)
    for (const value of this.#placement.made) this.#made(value)
    for (const value of this.#placement.entering) this.#entering(value, before)
    const { momentum, observe } = this.#options
    return {
      model: this.#copy,
      quantizers: {
        ...this.#notes,
        momentum: { from: momentum, to: 1, shape: 'step', start: observe, end: 1 },
      },
      activations: this.#activations,
      weights: this.#weights,
      constants: this.#constants,
      masks: this.#masks,
    }
  }

  /** Lets a layer read weights that went through a quantization. */
  #layer(node: Node): void {
    const weight = node.input(1)
    const tensor = constantOf(weight)
    const rule = quantizationRuleOf(node)
    if (!tensor || rule?.kind !== 'layer') throw new Error(`internal: '${node.name}' is no layer`)
    const axis = rule.channelAxis(node, tensor)
    const known = this.#quantized.get(weight.name)
    if (known && known.axis !== axis && this.#storage.perChannel)
      throw new UserError(
        `aware: layers share weights whose channels lie along different axes: '${weight.name}' — set perChannel: false, or exclude one of them`,
      )
    const value = known?.value ?? this.#weight(node, weight, tensor, axis)
    this.#quantized.set(weight.name, { value, axis })
    node.setInput(1, value)
  }

  #weight(node: Node, weight: Value, tensor: Tensor, channelAxis: number): Value {
    const { weightBits, perChannel } = this.#storage
    const { learn, keepZeros, keepClusters } = this.#options
    const writing = this.#writing(this.#first(weight, node))
    const { g } = writing
    const axis = perChannel ? channelAxis : undefined
    const spread: Spread = { dims: tensor.dims, axis }
    const content = elements(tensor, 'float32')
    const clusters = keepClusters ? clusteredWeight(tensor, channelAxis) : undefined
    const codebook =
      clusters && g.graph.addInitializer(`${weight.name}_codebook`, clusters.codebook)
    const x = codebook
      ? g.Gather(codebook, g.graph.addInitializer(`${weight.name}_codes`, clusters.codes))
      : weight
    if (keepZeros) {
      const learning = clusters ? elements(clusters.codebook, 'float32') : content
      if (learning.includes(0))
        this.#masks.set(
          (codebook ?? weight).name,
          learning.map((value) => (value === 0 ? 0 : 1)),
        )
    }
    const highest = 2 ** (weightBits - 1) - 1
    const done =
      learn === 'lsq'
        ? learnedSteps(
            writing,
            x,
            { lowest: -highest, highest },
            {
              name: `${weight.name}_step`,
              initial: leastErrorSteps(content, spread, highest),
              sharing: tensor.size / (axis === undefined ? 1 : tensor.dims[axis]!),
            },
            spread,
          )
        : weightBits === 2
          ? ternary(writing, x, spread)
          : largestSteps(writing, x, highest, spread)
    this.#weights.set(weight.name, { scale: done.scale.name, levels: done.levels.name })
    return done.output
  }

  /** The first of the nodes that read a value. */
  #first(value: Value, fallback: Node): Node {
    return this.#graph.nodes.find((node) => value.users.has(node)) ?? fallback
  }

  /** Quantizes a value where it is made: every user reads what went through. */
  #made(original: Value): void {
    const source = this.#placement.rangeOf.get(original) ?? original
    // What only moves elements leaves them at the steps that they have.
    if (source !== original) return
    const value = this.#byName.get(original.name)!
    const node = value.producer!
    const index = node.outputs.indexOf(value)
    const raw = new Value(
      this.#graph.uniqueName(`${value.name}_raw`),
      value.type && { type: value.type },
    )
    node.setOutput(index, raw)
    const { output } = this.#activation(raw, source, this.#behind(node))
    const last = output.producer!
    last.setOutput(0, value)
  }

  /** Lets integer kernels alone read a quantized form of a value. */
  #entering(original: Value, before: readonly Node[]): void {
    const value = this.#byName.get(original.name)!
    const source = this.#placement.rangeOf.get(original) ?? original
    const constant = constantOf(original)
    const output = constant
      ? this.#constant(original, constant)
      : this.#activation(
          value,
          source,
          value.producer ? this.#behind(value.producer) : this.#graph.nodes[0],
        ).output
    for (const [index, node] of this.#model.graph.nodes.entries()) {
      if (!this.#placement.nodes.has(node) || !activationsOf(node).includes(original)) continue
      const own = before[index]!
      for (const place of activationsOf(own).keys())
        if (own.inputs[place] === value) own.setInput(place, output)
    }
  }

  /** A constant that integer kernels read stays what it is stored as. */
  #constant(original: Value, tensor: Tensor): Value {
    const { activations, symmetricActivations } = this.#storage
    const content = elements(tensor, 'float32')
    const range = extend({ min: Infinity, max: -Infinity }, content)
    const quantization = quantizationOf(range, activations, symmetricActivations)
    const { scale, zeroPoint } = quantization
    const values = Float32Array.from(
      quantizeValues(content, quantization),
      (level) => (level - zeroPoint) * scale,
    )
    const fixed = this.#graph.addInitializer(
      `${original.name}_fixed`,
      tensorOf('float32', tensor.dims, values),
    )
    this.#notes.fixed.push(fixed.name, original.name)
    this.#constants.set(original.name, quantization)
    return fixed
  }

  #activation(value: Value, source: Value, before: Node | undefined): FakeQuantized {
    const { activations, activationBits, symmetricActivations: symmetric } = this.#storage
    const { learn, clippingDecay } = this.#options
    const known = this.#scales.get(source.name)
    const [lowest, highest] = levelsOf(activations, activationBits)
    const writing = this.#writing(before)
    // What has the range of another value lies inside of it.
    if (known) return sameSteps(writing, value, known)
    const count = highest - lowest
    const range = this.#values.rangeOf(source)
    const name = (what: string) => `${source.name}_${what}`
    const [min, max] = [Math.min(range.min, 0), Math.max(range.max, 0)]
    const middle = symmetric ? Math.ceil((lowest + highest) / 2) : undefined
    const note = (done: FakeQuantized, offset: number): FakeQuantized => {
      const zero = done.zero?.name
      this.#scales.set(source.name, done.scale)
      this.#activations.set(source.name, { scale: done.scale.name, zero, offset })
      return done
    }
    if (learn === 'none' || (learn === 'pact' && (min < 0 || symmetric || max === 0))) {
      const observed = { name: name('range'), initial: [min, max] as const }
      const placed = middle === undefined ? undefined : middle - lowest
      const done = observedSteps(writing, value, count, { ...observed, middle: placed })
      return note(done, middle ?? lowest)
    }
    if (learn === 'pact') {
      const bound = { name: name('bound'), initial: max, decay: clippingDecay }
      return note(learnedClipping(writing, value, count, bound), lowest)
    }
    const reach = symmetric ? 2 * Math.max(max, -min) : max - min
    const scale = reach > 0 ? reach / count : 1
    const zero = middle ?? Math.min(highest, Math.max(lowest, Math.round(lowest - min / scale)))
    const shape = this.#values.types.get(source)?.shape ?? []
    const features = shape
      .slice(1)
      .reduce<number>((size, dim) => size * (typeof dim === 'number' ? dim : 1), 1)
    const done = learnedSteps(
      writing,
      value,
      { lowest: lowest - zero, highest: highest - zero },
      {
        name: name('step'),
        initial: tensorOf('float32', [], [scale]),
        sharing: features,
      },
      { dims: [], axis: undefined },
    )
    return note(done, zero)
  }

  /** Writes before a node, or at the end. */
  #writing(before: Node | undefined): Writing {
    const g: Builder = before ? build(this.#graph, before) : build(this.#graph)
    return { g, notes: this.#notes, opset: opsetOf(this.#copy) }
  }

  /** The node that comes after another. */
  #behind(node: Node): Node | undefined {
    const { nodes } = this.#graph
    return nodes[nodes.indexOf(node) + 1]
  }
}
