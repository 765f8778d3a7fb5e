import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { openSource } from '../../../models/source.ts'
import { newModel } from '../../../onnx/build.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import {
  assistantSizes,
  chooseAssistants,
  parametersOf,
} from '../../../stages/distill/assistants.ts'

describe('the sizes of assistants', () => {
  it.each([
    [1000, 1000, []],
    [1000, 200, []],
    [1000, 100, [316]],
    [100_000, 1000, [21_544, 4642]],
    [1e9, 1000, [31_622_777, 1_000_000, 31_623]],
  ])('between %d and %d parameters are %j', (teacher, student, sizes) => {
    expect(assistantSizes(teacher, student)).toEqual(sizes)
  })
})

const shape = oneInput([1, 16, 16], 5)
const building = { ...shape, seed: 1 }
const resnet = (width: number) =>
  buildArchitecture({ architecture: 'resnet', depth: 8, width }, building)

describe('chosen assistants', () => {
  it('are narrower copies of the teacher of about these sizes', async () => {
    const [teacher, student] = [resnet(32), resnet(8)]
    const chosen = await chooseAssistants(student, { ...building, teacher })
    const [size] = assistantSizes(parametersOf(teacher), parametersOf(student))
    expect(chosen).toHaveLength(1)
    expect(Math.abs(chosen[0]!.parameters / size! - 1)).toBeLessThan(0.1)
    const built = await openSource(chosen[0]!.source, { ...building, teacher })
    expect(parametersOf(built)).toBe(chosen[0]!.parameters)
  })

  it('are none where student and teacher are near', async () => {
    const [teacher, student] = [resnet(16), resnet(12)]
    expect(await chooseAssistants(student, { ...building, teacher })).toEqual([])
  })

  it('are refused for a teacher that cannot be narrowed', async () => {
    const { model, g } = newModel('one product')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 256] })
    const weight = tensorOf('float32', [256, 100], new Float32Array(25_600).fill(0.01))
    g.output('y', g.MatMul(x, weight), { dtype: 'float32', shape: ['N', 100] })
    const small = buildArchitecture(
      { architecture: 'mlp', hidden: [2] },
      { ...oneInput([8], 5), seed: 1 },
    )
    await expect(chooseAssistants(small, { ...building, teacher: model })).rejects.toThrow(
      /^assistants: 'auto' makes narrower copies of the teacher, which this one does not have: .* — name the assistants$/,
    )
  })
})
