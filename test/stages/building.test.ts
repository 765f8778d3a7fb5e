// For which inputs and outputs architectures are built.
import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { shapeFor } from '../../stages/building.ts'
import { type TaskName, tasks } from '../../tasks/index.ts'
import { imagesOf } from '../support/samples.ts'
import { mixedData } from './mixed-data.ts'

const images = imagesOf(new Uint8Array(24), [3, 2, 2], {
  labels: Int32Array.of(0, 1),
  classes: ['a', 'b', 'c', 'd'],
})

function teacherOf(...shape: (number | string)[]) {
  const { model, g } = newModel('t')
  const x = g.input('x', { dtype: 'float32', shape })
  g.output('y', g.Relu(x), { dtype: 'float32', shape })
  return model
}

describe('the inputs of a model for data', () => {
  it('are the only column, called input; bytes besides do not count', () => {
    expect(shapeFor(images, tasks.classification).inputs).toEqual([
      { name: 'input', dtype: 'float32', shape: [3, 2, 2] },
    ])
  })

  it('are the columns by name, and what belongs to them by its own', () => {
    const { inputs } = shapeFor(mixedData(2), tasks.classification)
    expect(inputs.map(({ name, dtype }) => `${name} ${dtype}`)).toEqual([
      ...['v float32', 'text int64', 'attention_mask int64', 'image float32'],
    ])
    expect(inputs[1]).toMatchObject({ shape: [3], ids: 500 })
  })

  it('are called as the inputs that columns are mapped to', () => {
    const data = mixedData(2, {
      inputs: {
        ids: { column: 'text' },
        mask: { column: 'text.attention_mask' },
        k: { constant: 1 },
      },
    })
    const names = shapeFor(data, tasks.classification).inputs.map(({ name }) => name)
    expect(names).toEqual(['v', 'ids', 'mask', 'image'])
  })
})

describe('the outputs of a model for data', () => {
  it.each<[TaskName, object]>([
    ['classification', { outputs: 3 }],
    ['multi-label', { outputs: 2 }],
    ['regression', { outputs: 2 }],
    ['tagging', { outputs: 3, positions: 2 }],
    ['ranking', { outputs: 1 }],
    ['similarity', { outputs: 20 }],
    ['match', { outputs: 20 }],
  ])('of %s are %j', (task, expected) => {
    const { inputs: _, ...found } = shapeFor(mixedData(2), tasks[task], teacherOf('N', 4, 5))
    expect(found).toEqual(expected)
  })

  it('of embeddings are 64 without a teacher', () => {
    expect(shapeFor(mixedData(2), tasks.similarity).outputs).toBe(64)
  })
})
