// What the machine can do with integers: which instructions it has, whether its kernels add 8-bit products without
// losing any, proven by running them, and which types each provider takes.
import { UserError } from '../../base/errors.ts'
import { describeHost } from '../../benchmarks/host.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { runApart } from '../../runtime/apart.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { type ProviderName, providerNames } from '../../runtime/providers.ts'
import { withSession } from '../../runtime/session.ts'

/** Instruction sets that add products of 8 bits up in 32, as Linux spells them, and what they are called. */
const dotProducts: Readonly<Record<string, string>> = {
  avx512_vnni: 'AVX-512 VNNI',
  avx_vnni: 'AVX VNNI',
  amx_int8: 'AMX',
  asimddp: 'ARM dot product',
  i8mm: 'ARM int8 matrix multiplication',
}

/** What of the instruction sets of this machine multiplies 8 bits into 32. */
export const dotProductsIn = (flags: readonly string[]): string[] =>
  flags.flatMap((flag) => dotProducts[flag] ?? [])

/** How weights can be stored. */
export const weightForms = {
  int8: { dtype: 'int8', bits: 8, zeroPoint: 0, largest: 127 },
  reduced: { dtype: 'int8', bits: 7, zeroPoint: 0, largest: 63 },
  uint8: { dtype: 'uint8', bits: 8, zeroPoint: 128, largest: 255 },
} as const

/** The name of a way to store weights. */
export type WeightForm = keyof typeof weightForms

/**
 * Which way is taken, the first whose sums are right. With AVX2, fused kernels take 1.3 to 1.8 times as long with unsigned
 * weights as with those of 7 bits, which are therefore first in static files; integer products alone, as dynamic files
 * have them, take 1.03 to 1.12 times as long, which is less than the bit is worth.
 */
export const preferredForms = {
  static: ['int8', 'reduced', 'uint8'],
  dynamic: ['int8', 'uint8', 'reduced'],
} as const satisfies Record<string, readonly WeightForm[]>

/** What a kernel made of the largest sums. */
export interface SelfTest {
  readonly kernel: 'Conv' | 'MatMul' | 'MatMulInteger'
  readonly weights: WeightForm
  /** What came out over what it should be; 1 is right. */
  readonly share: number
}

/** Channels of the layers of the self-test: enough for the widest vectors. */
const width = 64

/** Results that differ by less are the same: the output has 200 steps. */
const tolerance = 1 / 100

/** Kept like what `probeWebgpu` found: it is a fact of the machine, which takes a second or more to find. */
const tested = new Map<ProviderName, Promise<readonly SelfTest[]>>()

/**
 * Runs a tiny integer model on a provider whose sums of two 8-bit products are as large as they can be: each kernel with
 * each form of weights. It is run once a process.
 *
 * x86 processors before VNNI add two products of unsigned and signed 8 bits up in 16 bits, where 2·255·127 does not fit.
 */
export function saturationTest(provider: ProviderName): Promise<readonly SelfTest[]> {
  const found = tested.get(provider) ?? runTest(provider)
  tested.set(provider, found)
  return found
}

async function runTest(provider: ProviderName): Promise<readonly SelfTest[]> {
  const { model, cases } = selfTestModel()
  const feeds = {
    x: tensorOf('float32', [1, width], new Float32Array(width).fill(1)),
  }
  const results = await runOnce(model, feeds, [...cases.keys()], provider)
  return [...cases].map(([output, { kernel, weights }]) => {
    const values = elements(results[output]!, 'float32')
    const share = values.reduce((least, value) => Math.min(least, value / width), Infinity)
    return { kernel, weights, share }
  })
}

async function runOnce(
  model: Model,
  feeds: Tensors,
  outputs: readonly string[],
  provider: ProviderName,
): Promise<Tensors> {
  const where = 'self-test'
  if (provider === 'cpu')
    return await withSession(model, { where }, (session) => session.run(feeds, outputs))
  const ran = await runApart({
    model: serializeModel(model),
    runs: [feeds],
    ...{ outputs, provider, threads: 1, where },
  })
  return ran.results[0]!
}

/** Layers of which every output is the sum of 64 ones, stored as integers as large as the types allow. */
export function selfTestModel() {
  const { model, g } = newModel('self-test')
  const x = g.input('x', { dtype: 'float32', shape: [1, width] })
  const cases = new Map<string, Pick<SelfTest, 'kernel' | 'weights'>>()
  for (const weights of Object.keys(weightForms) as WeightForm[])
    for (const [kernel, write] of Object.entries(kernels)) {
      const name = `${kernel} ${weights}`
      const value = write(g, x, weights)
      g.output(name, value, { dtype: 'float32', shape: [1, width] })
      cases.set(name, { kernel: kernel as SelfTest['kernel'], weights })
    }
  return { model, cases }
}

/** A scale and a zero point of 8 bits. */
const parameters = (scale: number, zeroPoint: number, dtype: 'int8' | 'uint8' = 'uint8') =>
  [tensorOf('float32', [], [scale]), tensorOf(dtype, [], [zeroPoint])] as const

/** The value after it was 8 bits, which ONNX Runtime makes the border of an integer kernel. */
const through8Bits = (g: Builder, value: Value, scale: number): Value =>
  g.DequantizeLinear(g.QuantizeLinear(value, ...parameters(scale, 0)), ...parameters(scale, 0))

const weightsOf = (weights: WeightForm, dims: readonly number[]) => {
  const { dtype, zeroPoint, largest } = weightForms[weights]
  const scale = 1 / (largest - zeroPoint)
  return {
    tensor: tensorOf(
      dtype,
      dims,
      Array.from({ length: sizeOf(dims) }, () => largest),
    ),
    scale,
    parameters: parameters(scale, zeroPoint, dtype),
  }
}

/** A layer of each kind from `[1, width]` to `[1, width]`, its weights all 1, and 1 stored as 255. */
const kernels: Readonly<
  Record<SelfTest['kernel'], (g: Builder, x: Value, weights: WeightForm) => Value>
> = {
  Conv(g, x, weights) {
    const { tensor, parameters } = weightsOf(weights, [width, width, 1, 1])
    const image = through8Bits(g, g.Reshape(x, [1, width, 1, 1]), 1 / 255)
    const made = g.Conv(image, g.DequantizeLinear(tensor, ...parameters))
    return g.Reshape(through8Bits(g, made, width / 200), [1, width])
  },
  MatMul(g, x, weights) {
    const { tensor, parameters } = weightsOf(weights, [width, width])
    const made = g.MatMul(through8Bits(g, x, 1 / 255), g.DequantizeLinear(tensor, ...parameters))
    return through8Bits(g, made, width / 200)
  },
  MatMulInteger(g, x, weights) {
    const { tensor, scale, parameters } = weightsOf(weights, [width, width])
    const data = g.QuantizeLinear(x, ...parametersOfInput)
    const [sums] = g.node('MatMulInteger', [data, tensor, parametersOfInput[1], parameters[1]])
    return g.Mul(g.Cast(sums, { to: 1 }), tensorOf('float32', [], [scale / 255]))
  },
}

const parametersOfInput = parameters(1 / 255, 0)

/** Whether the kernels of a provider give the right sums with weights of a form. */
export const isExact = (results: readonly SelfTest[], weights: WeightForm): boolean =>
  results.every((result) => result.weights !== weights || Math.abs(result.share - 1) <= tolerance)

/** How weights had better be stored for a provider on this machine, and why. */
export interface MachineAdvice {
  readonly form: WeightForm
  readonly dtype: 'int8' | 'uint8'
  readonly weightBits: 7 | 8
  readonly reason: string
}

/**
 * Chooses how weights are stored for a provider of this machine: the first of some forms whose sums the self-test found
 * right.
 *
 * A provider whose sums are wrong with all of them is a {@link UserError}.
 */
export async function machineAdvice(
  provider: ProviderName,
  forms: readonly WeightForm[] = preferredForms.static,
): Promise<MachineAdvice> {
  const { flags } = await describeHost()
  return adviceFrom(provider, flags, await saturationTest(provider), forms)
}

/** The same from what was found. */
export function adviceFrom(
  provider: ProviderName,
  flags: readonly string[],
  results: readonly SelfTest[],
  forms: readonly WeightForm[] = preferredForms.static,
): MachineAdvice {
  const form = forms.find((each) => isExact(results, each))
  const wrong = results.find((result) => Math.abs(result.share - 1) > tolerance)
  if (form === undefined)
    throw new UserError(
      `provider '${provider}': its integer kernels are wrong on this machine: ${wrong?.kernel} gives ${wrong?.share.toFixed(2)} of the sum — use scheme float16, or another provider`,
    )
  const { dtype, bits } = weightForms[form]
  const found = dotProductsIn(flags)
  const reason =
    wrong === undefined || form === 'int8'
      ? `the self-test adds 8-bit products exactly${found.length > 0 ? `; the processor has ${found.join(', ')}` : ''}`
      : `sums of 8-bit products saturate here (${wrong.kernel} gives ${wrong.share.toFixed(2)} of the sum in the self-test); the processor has ${found.join(', ') || 'no VNNI'}`
  return { form, dtype, weightBits: bits, reason }
}

/** What a file has to be like for a provider. */
export interface ProviderRule {
  readonly concerns:
    | 'activations'
    | 'bias'
    | 'dynamic convolutions'
    | 'input channels'
    | 'normalization'
    | 'operators'
    | 'pairs of activations'
  /** The providers that ask for it. */
  readonly providers: readonly ProviderName[]
  readonly choice: string
  readonly reason: string
}

const webgpu = ['webgpu', 'webgpu:browser'] as const

/** What providers ask of quantized files, and why it is so; what is chosen for all is chosen without asking. */
export const providerRules: readonly ProviderRule[] = [
  {
    concerns: 'bias',
    providers: webgpu,
    choice: 'int32 without a zero point',
    reason:
      'older WebGPU providers refuse zero points in int32; that of ONNX Runtime 1.30 takes them',
  },
  {
    concerns: 'input channels',
    providers: webgpu,
    choice:
      'one more, of zeros, for convolutions with a multiple of 3 above 3 that is none of 4, and outputs that are one of 4',
    reason: 'WebGPU of ONNX Runtime 1.30 computes those wrong, in float as well',
  },
  {
    concerns: 'normalization',
    providers: webgpu,
    choice: 'the shape of rows that are normalized is stated',
    reason:
      'WebGPU of ONNX Runtime 1.30 mixes up the channels of rows whose number of axes it does not know, in float as well',
  },
  {
    concerns: 'pairs of activations',
    providers: webgpu,
    choice: 'a Max of one input between two activations behind a convolution',
    reason: 'WebGPU of ONNX Runtime 1.30 leaves out the first of the two, in float as well',
  },
  {
    concerns: 'dynamic convolutions',
    providers: providerNames,
    choice: 'ConvInteger with uint8 weights and zero point 128',
    reason: 'older versions of ONNX Runtime have no ConvInteger for signed weights',
  },
  {
    concerns: 'operators',
    providers: [...webgpu, 'cuda', 'tensorrt', 'dml', 'coreml', 'webnn:browser'],
    choice: 'format qdq',
    reason: 'they have no QLinear kernels, so that those run on the CPU with copies between',
  },
  {
    concerns: 'activations',
    providers: ['cpu', 'wasm', 'wasm:browser'],
    choice: 'uint8',
    reason: 'ONNX Runtime leaves many kernels with int8 activations float on x86',
  },
]

/** The providers among some that ask for something. */
export const thoseThatAsk = (
  concerns: ProviderRule['concerns'],
  wanted: readonly ProviderName[],
): ProviderName[] =>
  wanted.filter((provider) => rulesOf(provider).some((rule) => rule.concerns === concerns))

/** The rows that concern a provider. */
export const rulesOf = (provider: ProviderName): readonly ProviderRule[] =>
  providerRules.filter(({ providers }) => providers.includes(provider))
