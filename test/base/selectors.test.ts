import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { select } from '../../base/selectors.ts'

const items = [
  { name: 'stem/conv', opType: 'Conv' },
  { name: 'block1/conv1', opType: 'Conv' },
  { name: 'block1/conv2', opType: 'Conv' },
  { name: 'head[0]', opType: 'Gemm' },
]
const names = (...selectors: string[]) =>
  select(items, selectors, 'exclude').map(({ name }) => name)

describe('select', () => {
  it.each([
    ['an exact name', ['stem/conv'], ['stem/conv']],
    ['a name that would be a pattern', ['head[0]'], ['head[0]']],
    ['a glob, whose star crosses slashes', ['block1*'], ['block1/conv1', 'block1/conv2']],
    ['a regular expression', ['re:conv\\d$'], ['block1/conv1', 'block1/conv2']],
    ['an operator', ['op:Gemm'], ['head[0]']],
    ['several, in the order of the items', ['op:Gemm', 'stem*', '*conv'], ['stem/conv', 'head[0]']],
  ])('picks by %s', (_, selectors, expected) => {
    expect(names(...selectors)).toEqual(expected)
  })

  it.each([
    ['conv9', /^exclude: matches no layer: 'conv9' — use .*layers: 'stem\/conv', 'block1\/conv1'/],
    ['op:MatMul', /^exclude: matches no layer: 'op:MatMul' — /],
    ['re:(', /^exclude: not a regular expression: 're:\(' — /],
  ])('refuses %s', (selector, message) => {
    expect(() => names('stem/conv', selector)).toThrow(message)
    expect(() => names(selector)).toThrow(UserError)
  })
})
