import { expect, it } from '@jest/globals'
import { writeOneHot } from '../../train/one-hot.ts'

it('puts 1 at the label and 0 elsewhere, over what was there', () => {
  const into = new Float32Array(6).fill(7)
  expect([...writeOneHot(Int32Array.of(2, 0), 3, into)]).toEqual([0, 0, 1, 1, 0, 0])
})

it('shares 1 between the labels of samples that were mixed', () => {
  const mix = { partners: Int32Array.of(0, 1, 1), shares: Float32Array.of(0.75, 0.3, 0) }
  const rows = writeOneHot(Int32Array.of(2, 1, 0), 3, new Float32Array(9), mix)
  expect([...rows]).toEqual([0.25, 0, 0.75, 0, 1, 0, 0, 1, 0])
})

it('gives nothing to labels that are not known, mixed or not', () => {
  const into = new Float32Array(6).fill(7)
  expect([...writeOneHot(Int32Array.of(-1, 2), 3, into)]).toEqual([0, 0, 0, 0, 0, 1])
  const mix = { partners: Int32Array.of(-1, 2, -1), shares: Float32Array.of(0.75, 0.25, 0.5) }
  const rows = writeOneHot(Int32Array.of(1, -1, -1), 3, new Float32Array(9), mix)
  expect([...rows]).toEqual([0, 0.75, 0, 0, 0, 0.75, 0, 0, 0])
})
