// Labels mean the same to the data and to the model.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { alignClasses } from '../../data/label-names.ts'

function align(classes: readonly string[], model?: readonly string[]) {
  const lines: string[] = []
  const { classes: found, order } = alignClasses(classes, model, 'pets', (line) => lines.push(line))
  return { classes: found, order: [...order], lines }
}

describe('classes of data and model', () => {
  it('are those of the data where the model says nothing', () => {
    expect(align(['b', 'a'])).toEqual({ classes: ['b', 'a'], order: [0, 1], lines: [] })
    expect(align([], ['a'])).toEqual({ classes: [], order: [], lines: [] })
  })

  it('are in the order of the model, found by name, and that is said', () => {
    expect(align(['cat', 'dog', 'pig'], ['pig', 'cat', 'dog'])).toEqual({
      classes: ['pig', 'cat', 'dog'],
      order: [1, 2, 0],
      lines: ["labels are matched with the model's by name: 'cat' is 1"],
    })
    expect(align(['a', 'b'], ['a', 'b']).lines).toEqual([])
  })

  it('are the same in capitals, with spaces, _ or -', () => {
    expect(align(['card arrival', 'Top-up'], ['top_up', ' CARD_ARRIVAL']).order).toEqual([1, 0])
  })

  it('can be fewer than those of the model', () => {
    expect(align(['dog'], ['cat', 'dog'])).toMatchObject({ classes: ['cat', 'dog'], order: [1] })
  })

  it.each([
    [['LABEL_0', 'LABEL_1']],
    [['0', '1']],
    [['class 0', 'Class 1']],
    [['label-0', 'label1']],
  ])('are those of the data where %p are no names', (model) => {
    expect(align(['b', 'a'], model)).toEqual({ classes: ['b', 'a'], order: [0, 1], lines: [] })
  })

  it('go by number where the data has but numbers', () => {
    expect(align(['0', '1'], ['cat', 'dog', 'pig'])).toEqual({
      ...{ classes: ['cat', 'dog', 'pig'], order: [0, 1], lines: [] },
    })
    // More than the model has cannot be named; what does not fit shows when the model is run.
    expect(align(['0', '1', '2'], ['cat', 'dog']).classes).toEqual(['0', '1', '2'])
  })

  it('that the model does not have are refused', () => {
    const stray = () => align(['cat', 'cow', 'hen'], ['cat', 'dog'])
    expect(stray).toThrow(UserError)
    expect(stray).toThrow(
      "data: 2 of the 3 classes of 'pets' are none of the model's: 'cow' — rename them as the model does (cat, dog, …), or use other data",
    )
  })

  it('may not become one', () => {
    expect(() => align(['Top up', 'top-up'], ['top_up', 'x'])).toThrow('the same name')
  })

  it('can have names that objects have by themselves', () => {
    expect(align(['constructor', '__proto__'], ['__proto__', 'constructor']).order).toEqual([1, 0])
    expect(() => align(['toString'], ['a'])).toThrow("'toString'")
  })
})
