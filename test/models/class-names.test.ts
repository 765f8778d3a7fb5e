import { describe, expect, it } from '@jest/globals'
import { classNamesKey, statedClasses, withClasses } from '../../models/class-names.ts'
import { newModel } from '../../onnx/build.ts'
import { parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'

const stating = (...entries: [string, string][]) => statedClasses({ metadata: new Map(entries) })

describe('names of classes in the metadata of a model', () => {
  it.each([
    ['a JSON list', 'classes', '["cat", "dog"]'],
    ['a JSON object by number', 'id2label', '{"1": "dog", "0": "cat"}'],
    ["Python's dict", 'names', `{0: 'cat', 1: "dog"}`],
    ["Python's list", 'labels', `['cat', 'dog',]`],
  ])('are read from %s', (_, key, text) => {
    expect(stating([key, text])).toEqual(['cat', 'dog'])
  })

  it('of Condense come before those of others', () => {
    expect(stating(['classes', '["a","b"]'], [classNamesKey, '["c","d"]'])).toEqual(['c', 'd'])
  })

  it('may hold quotes and numbers', () => {
    expect(stating(['names', `{0: 'cat\\'s', 1: "dog's"}`])).toEqual(["cat's", "dog's"])
    expect(stating(['names', '[3, 5]'])).toEqual(['3', '5'])
  })

  it.each([
    ['nothing', ''],
    ['another text', 'cat, dog'],
    ['an object that leaves a number out', '{"0": "cat", "2": "dog"}'],
    ['a name twice', '["cat", "cat"]'],
    ['one name alone', '["cat"]'],
    ['things that are no names', '[["cat"], ["dog"]]'],
    ['a dict that does not end', `{0: 'cat', 1: 'do`],
    ['a dict with code in it', `{0: 'cat', 1: open('x')}`],
    ['a very long list that is none', `[${"'a',".repeat(1e5)}!]`],
  ])('are none where there is %s', (_, text) => {
    expect(stating(['names', text])).toBeUndefined()
  })

  it('stay with a model that is saved', () => {
    const { model, g } = newModel('named')
    g.output('y', g.Neg(g.input('x', { dtype: 'float32', shape: [1] })))
    const named = withClasses(model, ['é', 'b'])
    expect(statedClasses(parseModel(serializeModel(named)))).toEqual(['é', 'b'])
    expect(statedClasses(model)).toBeUndefined()
  })
})
