// What is left of the teacher's knowledge in models that are made here; measuring processes run from dist.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { type BenchmarkRequest, benchmark } from '../../../benchmarks/benchmark.ts'
import { changeKinds } from '../../../benchmarks/knowledge/changes.ts'
import { newModel } from '../../../onnx/build.ts'
import { saveModel } from '../../../onnx/save.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { linearModel, temporaryFolder, threeClasses } from '../../support/measured.ts'

const folder = temporaryFolder()
const data = threeClasses(300)

interface Made {
  readonly turned?: boolean
  readonly quantized?: boolean
}

/** Writes a model whose features are the input, turned and doubled, and its mirror image, and gives its path. */
async function mirrored(id: string, { turned = false, quantized = false }: Made = {}) {
  const { model, g } = newModel(id)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
  const signs = [1, -1].map((sign) =>
    [0, 1, 2, 3].map((i) => (turned ? 3 - i : i)).map((to) => ({ sign, to })),
  )
  const columns = signs.flat()
  const spread = tensorOf(
    'float32',
    [4, 8],
    [0, 1, 2, 3].flatMap((row) => columns.map(({ sign, to }) => (to === row ? sign : 0))),
  )
  const gathered = tensorOf(
    'float32',
    [8, 3],
    columns.flatMap(({ sign, to }) => [0, 1, 2].map((output) => (to === output ? 3 * sign : 0))),
  )
  const hidden = g.Relu(g.MatMul(x, spread))
  const scale = tensorOf('float32', [], [0.05])
  const zero = tensorOf('uint8', [], [0])
  const features = quantized
    ? g.DequantizeLinear(g.QuantizeLinear(hidden, scale, zero), scale, zero)
    : hidden
  g.output('y', g.MatMul(features, gathered), { dtype: 'float32', shape: ['N', 3] })
  const path = join(folder, `${id}.onnx`)
  await saveModel(model, path)
  return subject(id, path)
}

const subject = (id: string, path: string) => ({
  id,
  ...{ stage: 'prune', from: id === 'teacher' ? null : 'teacher' },
  ...{ path, file: `variants/${id}/model.onnx` },
})

const measure = async (request: Partial<BenchmarkRequest> = {}) =>
  await benchmark({
    teacher: await mirrored('teacher'),
    variants: [],
    data,
    providers: [],
    workFolder: join(folder, 'work'),
    seed: 1,
    knowledge: { samples: 200 },
    ...request,
  })

/** What the first two tests look at. */
let first: ReturnType<typeof measure> | undefined
const measuredOnce = async () => {
  first ??= measure({
    variants: [
      await mirrored('turned', { turned: true }),
      await mirrored('rounded', { quantized: true }),
    ],
  })
  return await first
}

describe('the knowledge of a benchmark', () => {
  it('is whole in the teacher and in a model that only orders its features in another way', async () => {
    const { teacher, variants } = await measuredOnce()
    const [turned, rounded] = variants
    for (const { knowledge } of [teacher, turned!]) {
      expect(knowledge).toMatchObject({
        samples: 200,
        transfer: { right: { value: 1, of: 300 }, perClass: { first: { right: 1, wrong: null } } },
        representation: [
          { what: 'features', cka: expect.closeTo(1, 6) },
          { what: 'outputs', cka: expect.closeTo(1, 6) },
        ],
        saliency: { cosine: expect.closeTo(1, 6), overlap: 1 },
      })
      expect(knowledge!.robustness.noise!.map(({ ratio }) => ratio)).toEqual([1, 1, 1, 1, 1])
      expect(knowledge!.robustness.adversarial).toEqual(knowledge!.robustness.transferred)
      expect(Object.keys(knowledge!.reasons)).toEqual(['blur', 'contrast', 'brightness', 'jpeg'])
      expect(knowledge!.reasons.blur).toBe('the samples are no images')
    }
    const { noise, adversarial } = teacher.knowledge!.robustness
    const falling = adversarial!.map(({ value }) => value)
    expect(falling).toEqual([...falling].sort((a, b) => b - a))
    expect(falling[2]).toBeLessThan(noise![1]!.value)
    // Five steps find what one step finds, and more where the model is not linear; by chance a sample less.
    for (const [at, { value, strength }] of teacher.knowledge!.robustness.projected!.entries()) {
      expect(strength).toBe(adversarial![at]!.strength)
      expect(value).toBeLessThanOrEqual(falling[at]! + 1 / 200)
    }
    expect(adversarial!.map(({ strength }) => strength)).toEqual(changeKinds.adversarial.strengths)
    expect(rounded!.knowledge).toMatchObject({
      saliency: null,
      robustness: { adversarial: null, transferred: [{ strength: 0.025 }, {}, {}] },
      reasons: {
        saliency: 'it is quantized: no gradient passes through integers',
        adversarial: 'it is quantized: no gradient passes through integers',
        projected: 'it is quantized: no gradient passes through integers',
      },
    })
    expect(rounded!.knowledge!.representation![0]!.cka).toBeGreaterThan(0.9)
  })

  it('gives the same numbers again, and others for another seed', async () => {
    const variants = [await mirrored('turned', { turned: true })]
    const once = await measuredOnce()
    const again = await measure({ variants })
    expect(again.variants[0]!.knowledge).toEqual(once.variants[0]!.knowledge)
    const other = await measure({ variants, seed: 2 })
    expect(other.variants[0]!.knowledge!.robustness.noise).not.toEqual(
      once.variants[0]!.knowledge!.robustness.noise,
    )
  })

  it('costs one measure of one model where something is missing, with its reason', async () => {
    const variants = [
      subject('linear', await linearModel(join(folder, 'linear.onnx'), { gain: 3 })),
      subject('misfit', await linearModel(join(folder, 'misfit.onnx'), { inputs: 5 })),
      { ...(await mirrored('tapped')), taps: [{ teacher: 'Relu_output', variant: 'nowhere' }] },
    ]
    const { teacher, variants: found } = await measure({ variants, knowledge: { samples: 64 } })
    const [linear, misfit, tapped] = found
    expect(teacher.knowledge?.representation).toHaveLength(2)
    expect(linear?.knowledge).toMatchObject({
      representation: null,
      saliency: { cosine: expect.closeTo(1, 5) },
      reasons: { representation: expect.stringContaining('has no features before its outputs') },
    })
    expect(misfit?.knowledge).toBeNull()
    expect(tapped?.knowledge?.reasons.representation).toContain("no value of that name: 'nowhere'")
  })

  it('compares further values that are named', async () => {
    const taps = [{ teacher: 'x', variant: 'MatMul_output' }]
    const variants = [{ ...(await mirrored('tapped', { turned: true })), taps }]
    const named = await measure({ variants, knowledge: { samples: 64 } })
    expect(named.variants[0]!.knowledge!.representation!.map(({ what }) => what)).toEqual([
      'features',
      'MatMul_output',
      'outputs',
    ])
  })

  it('says of another task what it can', async () => {
    const target = (index: number, into: Float32Array, offset: number) => {
      into.fill(data.labels[index]!, offset, offset + 3)
    }
    const values = { ...data, targetWidth: 3, targetNames: ['a', 'b', 'c'], target }
    const { teacher } = await measure({ data: values, task: 'regression' })
    expect(teacher.knowledge).toMatchObject({
      transfer: null,
      saliency: null,
      robustness: { adversarial: null },
      reasons: { transfer: 'the task has no single right class' },
    })
    expect(teacher.knowledge!.representation).toHaveLength(2)
  })
})
