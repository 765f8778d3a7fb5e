// An operator that multiplies and stands for several multiplies as often as they do.
import { expect, it } from '@jest/globals'
import { countMacs, multiplications } from '../../onnx/multiplications.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { decompose } from '../../train/decompose.ts'
import { decompositions } from '../../train/decompositions.ts'
import { caseGraph, caseRows, evaluate, inputsOf, weightsOf } from './case-graph.ts'

const composite = caseRows.filter(
  ({ operator }) =>
    operator in decompositions && operator.replace('com.microsoft.', '') in multiplications,
)

it.each(composite)(
  'counts the multiplications of $title as those of its definition',
  async (row) => {
    const { model } = await caseGraph(row, weightsOf(row, evaluate(row, inputsOf(row))), {
      whole: true,
    })
    await inferShapes(model)
    const counted = countMacs(model)
    expect(counted).toBeDefined()
    await decompose(model)
    expect(countMacs(model)).toBe(counted)
  },
)
