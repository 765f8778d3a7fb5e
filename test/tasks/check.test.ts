// Whether outputs can be what a task wants.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { checkWidth } from '../../tasks/check.ts'
import { type TaskName, tasks } from '../../tasks/index.ts'
import { mixedData } from '../stages/mixed-data.ts'

const data = mixedData(2)
const values = mixedData(2, { classes: [] })

describe('the width of outputs', () => {
  it.each<[TaskName, number]>([
    ['classification', 3],
    ['multi-label', 3],
    ['regression', 2],
    ['tagging', 6],
    ['ranking', 1],
  ])('of %s must be %i here', (task, width) => {
    expect(() => checkWidth(tasks[task], width, data, 'm.onnx')).not.toThrow()
    expect(() => checkWidth(tasks[task], width + 1, data, 'm.onnx')).toThrow(UserError)
  })

  it.each<TaskName>(['similarity', 'match'])('of %s may be any', (task) => {
    for (const width of [1, 7, 1000])
      expect(() => checkWidth(tasks[task], width, data, 'm.onnx')).not.toThrow()
  })

  it('is told with what the data asks for', () => {
    expect(() => checkWidth(tasks.classification, 5, data, 'm.onnx')).toThrow(
      "m.onnx: its outputs do not fit the labels: 5 outputs for the 3 classes of data 'made up' — use data with the model's classes",
    )
    expect(() => checkWidth(tasks.regression, 5, values, 'm.onnx')).toThrow(
      "m.onnx: its outputs do not fit the labels: 5 outputs for data 'made up', which asks for 2 — use other data",
    )
  })
})
