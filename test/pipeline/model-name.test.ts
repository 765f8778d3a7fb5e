import { expect, it } from '@jest/globals'
import { modelName } from '../../pipeline/model-name.ts'

it.each([
  ['lenet.onnx', 'lenet'],
  ['models/resnet.v2.onnx', 'resnet.v2'],
  ['C:\\models\\lenet.onnx', 'lenet'],
  // What a run writes, and what the Hub has.
  ['runs/digits/variants/int8/model.onnx', 'int8'],
  ['google/vit/onnx/model.onnx', 'vit'],
  ['org/name', 'name'],
  ['folder/', 'folder'],
  ['model.onnx', 'model'],
])('a model in %s is called %s', (path, name) => {
  expect(modelName(path)).toBe(name)
})
