// Recurrent layers, one direction or two, as one ONNX node.
import type { Attributes } from '../../../onnx/build.ts'
import type { Dim } from '../../../onnx/graph.ts'
import { elements, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { binary } from '../arithmetic.ts'
import { concat, farEnd, reshape, slice, squeeze, transpose, unsqueeze } from '../arrange.ts'
import { productOf, type Term } from '../term.ts'
import { type Config, layerConfigOf } from './config.ts'
import { type LayerCall, type LayerRule, refused } from './layer.ts'

/** How a kind of cell lies in ONNX. */
interface Cell {
  readonly opType: string
  /** Which of Keras' gates is each of ONNX's, in ONNX's order. */
  readonly gates: readonly number[]
  /** ONNX's activations: `gate` is Keras' recurrent activation, `cell` its activation. */
  readonly activations: readonly ('gate' | 'cell')[]
  readonly states: number
  readonly attributes?: Attributes
}

const cells: Readonly<Record<string, Cell>> = {
  SimpleRNN: { opType: 'RNN', gates: [0], activations: ['cell'], states: 1 },
  // Keras: z, r, h; h' = z h + (1 - z) ĥ, which is ONNX's formula.
  GRU: { opType: 'GRU', gates: [0, 1, 2], activations: ['gate', 'cell'], states: 1 },
  // Keras: i, f, c, o. ONNX: i, o, f, c.
  LSTM: { opType: 'LSTM', gates: [0, 3, 1, 2], activations: ['gate', 'cell', 'cell'], states: 2 },
}

/** ONNX's names of the activations that a cell may have; their parameters are its defaults. */
const activationNames: ReadonlyMap<string, string> = new Map([
  ['tanh', 'Tanh'],
  ['sigmoid', 'Sigmoid'],
  ['hard_sigmoid', 'HardSigmoid'],
  ['relu', 'Relu'],
  ['softsign', 'Softsign'],
  ['softplus', 'Softplus'],
])

/** One direction: where its weights are and whether it starts at the end. */
interface Direction {
  readonly weight: (suffix: string) => Term
  readonly backwards: boolean
}

/** What comes out: every step of every direction, and the states after the last. */
interface Recurrence {
  /** `[T, D, N, U]`, in the order of time. */
  readonly sequence: Term
  /** Each `[D, N, U]`: the output, and the cell of an LSTM. */
  readonly states: readonly Term[]
}

function recurrence(
  call: LayerCall,
  className: string,
  config: Config,
  directions: readonly Direction[],
  initial: readonly Term[],
): Recurrence {
  const { w, x, name } = call
  const cell = cells[className]!
  if (config.flag('stateful', false))
    throw refused(call, 'a stateful recurrence', 'save it with stateful: false')
  if (config.flag('reset_after', false) && className === 'GRU')
    throw refused(call, 'reset_after: true', 'TensorFlow.js has GRU with reset_after: false alone')
  const units = config.number('units', 0)
  const names = cell.activations.map((kind) => {
    const key = kind === 'gate' ? 'recurrent_activation' : 'activation'
    const given = config.name(key, kind === 'gate' ? 'hard_sigmoid' : 'tanh')
    const known = activationNames.get(given)
    if (!known)
      throw refused(
        call,
        `activation '${given}' in a ${className}`,
        `use one of ${[...activationNames.keys()].join(', ')}`,
      )
    return known
  })
  const usual = cell.activations.map((kind) => (kind === 'gate' ? 'Sigmoid' : 'Tanh'))
  const isUsual = names.every((each, index) => each === usual[index])

  const rows = units * cell.gates.length
  const biased = config.flag('use_bias', true)
  const operand = (suffix: string, dims: (first: Tensor) => number[]) => {
    const tensors = directions.map(({ weight }) => weight(suffix).value.tensor!)
    const wrong = tensors.find(({ dims: own }) => own.at(-1) !== rows || own.length > 2)
    if (wrong) throw refused(call, `${suffix} of ${wrong.dims.join('x')}`, 'save the model again')
    const parts = tensors.map((tensor) => gatesFirst(tensor, units, cell.gates))
    const shape = [directions.length, ...dims(tensors[0]!)]
    return w.constant(`${name}/${suffix}`, () => tensorOf('float32', shape, joined(parts)), {
      of: directions[0]!.weight(suffix).value,
      key: 'recurrent',
    })
  }
  const kernel = operand('kernel', ({ dims }) => [rows, dims[0]!])
  const recurrent = operand('recurrent_kernel', () => [rows, units])
  const bias = biased ? operand('bias', () => [2 * rows]) : undefined
  const states = Array.from({ length: cell.states }, (_, state) => {
    const given = directions.flatMap((_, index) => initial[index * cell.states + state] ?? [])
    return given.length === 0
      ? undefined
      : concat(
          w,
          given.map((term) => unsqueeze(w, term, [0])),
          0,
        )
  })

  const [batch, time] = x.shape
  const last: readonly Dim[] = [directions.length, batch, units]
  const backwards = directions[0]!.backwards
  const [sequence, ...after] = w.emitAll(
    cell.opType,
    [transpose(w, x, [1, 0, 2]), kernel, recurrent, bias, undefined, ...states],
    [
      { dtype: 'float32', shape: [time, ...last] },
      ...states.map(() => ({ dtype: 'float32' as const, shape: last })),
    ],
    {
      name,
      attributes: {
        hidden_size: units,
        ...cell.attributes,
        ...(directions.length === 2
          ? { direction: 'bidirectional' }
          : backwards && { direction: 'reverse' }),
        ...(!isUsual && { activations: directions.flatMap(() => names) }),
      },
    },
  )
  return { sequence: sequence!, states: after }
}

/** `[rows, gates · units]` as `[gates · units, rows]` with the gates in ONNX's order; a bias gets a zero one after it. */
function gatesFirst(tensor: Tensor, units: number, gates: readonly number[]): Float32Array {
  const source = elements(tensor, 'float32')
  const isBias = tensor.dims.length === 1
  const rows = isBias ? 1 : tensor.dims[0]!
  const columns = gates.length * units
  const target = new Float32Array(source.length * (isBias ? 2 : 1))
  for (const [place, gate] of gates.entries())
    for (let unit = 0; unit < units; unit++)
      for (let row = 0; row < rows; row++)
        target[(place * units + unit) * rows + row] = source[row * columns + gate * units + unit]!
  return target
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** The other way round along the axis of time. */
const reversed = (call: LayerCall, x: Term): Term =>
  slice(call.w, x, [{ axis: 1, start: -1, end: -farEnd, step: -1 }])

const oneWay =
  (className: string): LayerRule =>
  (call) => {
    const { w, config, inputs, weight } = call
    const backwards = config.flag('go_backwards', false)
    const { sequence, states } = recurrence(
      call,
      className,
      config,
      [{ weight, backwards }],
      inputs.slice(1),
    )
    const output = () => {
      if (!config.flag('return_sequences', false)) return squeeze(w, states[0]!, [0])
      const steps = transpose(w, squeeze(w, sequence, [1]), [1, 0, 2])
      return backwards ? reversed(call, steps) : steps
    }
    const first = output()
    if (!config.flag('return_state', false)) return first
    return [first, ...states.map((state) => squeeze(w, state, [0]))]
  }

const merges: ReadonlyMap<string, string> = new Map([
  ['sum', 'Add'],
  ['ave', 'Add'],
  ['mul', 'Mul'],
])

/** Both ways over one input, as Keras' wrapper has it. */
function bidirectional(call: LayerCall): Term | readonly Term[] {
  const { w, inputs } = call
  const { className, config } = innerLayer(call)
  if (!Object.hasOwn(cells, className))
    throw refused(call, `Bidirectional of ${className}`, 'use SimpleRNN, GRU or LSTM')
  if (config.flag('go_backwards', false))
    throw refused(call, 'Bidirectional of a layer that goes backwards', 'let it go forwards')
  const inner = config.name('name', '') === '' ? '' : (config.raw('name') as string)
  const { sequence, states } = recurrence(
    call,
    className,
    config,
    ['forward', 'backward'].map((way, index) => ({
      weight: (suffix) => call.weight(`${way}_${inner}/${suffix}`),
      backwards: index === 1,
    })),
    inputs.slice(1),
  )
  const [time, , batch, units] = sequence.shape
  const all = config.flag('return_sequences', false)
  const isList = (call.config.raw('merge_mode') ?? 'none') === 'none'
  const mode = isList ? 'none' : call.config.name('merge_mode', 'concat')
  // [N, T, D, U] or [N, D, U]: the directions side by side.
  const sides = all ? transpose(w, sequence, [2, 0, 1, 3]) : transpose(w, states[0]!, [1, 0, 2])
  const axis = all ? 2 : 1
  const side = (start: number) =>
    squeeze(w, slice(w, sides, [{ axis, start, end: start + 1, step: 1 }]), [axis])
  const outputs = (): Term[] => {
    if (mode === 'none') return [side(0), side(1)]
    if (mode === 'concat') {
      const width = (units as number) * 2
      return [reshape(w, sides, all ? [batch, time, width] : [batch, width])]
    }
    const opType = merges.get(mode)
    if (!opType) throw refused(call, `merge_mode '${mode}'`, 'use concat, sum, mul, ave or null')
    const both = binary(w, opType, side(0), side(1))
    return [mode === 'ave' ? binary(w, 'Mul', both, 0.5) : both]
  }
  if (!config.flag('return_state', false)) return outputs()
  const stateOf = (state: Term, index: number) =>
    squeeze(w, slice(w, state, [{ axis: 0, start: index, end: index + 1, step: 1 }]), [0])
  return [...outputs(), ...[0, 1].flatMap((index) => states.map((state) => stateOf(state, index)))]
}

/** The layer inside a wrapper. */
function innerLayer(call: LayerCall) {
  const inner = call.config.raw('layer')
  if (typeof inner !== 'object' || inner === null) throw refused(call, 'a wrapper without a layer')
  return layerConfigOf(inner, `${call.w.where}: layer '${call.name}'`)
}

/** Applies a layer to every step: the steps become samples and come back. */
function timeDistributed(call: LayerCall): Term {
  const { w, x, name } = call
  const [batch, time, ...rest] = x.shape
  const inner = innerLayer(call)
  const [output] = call.call(name, inner, [reshape(w, x, [productOf([batch, time]), ...rest])])
  return reshape(w, output!, [batch, time, ...output!.shape.slice(1)])
}

/** Recurrent layers and the wrappers. */
export const recurrentLayers: Readonly<Record<string, LayerRule>> = {
  SimpleRNN: oneWay('SimpleRNN'),
  GRU: oneWay('GRU'),
  LSTM: oneWay('LSTM'),
  Bidirectional: bidirectional,
  TimeDistributed: timeDistributed,
}
