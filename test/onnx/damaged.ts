// Damaged files load, or end with one line.
import { readFileSync } from 'node:fs'
import { expect } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { printGraph } from '../../onnx/text.ts'
import { sharedModel } from '../support/shared.ts'

/** Loads bytes as a hostile file: a model that also prints and saves, or one line for the user. */
export function load(bytes: Uint8Array): string | undefined {
  try {
    const model = parseModel(bytes, 'm.onnx')
    printGraph(model.graph)
    serializeModel(model)
    return undefined
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    expect(thrown.message).toMatch(/^m\.onnx: [^\n\r]+ — [^\n\r]+$/)
    return thrown.message
  }
}

/** Models of different kinds that are damaged. */
export const names = [
  'mnist-8-ortweb',
  'conv-tiny-resnet8-cifar10',
  'silero-vad',
  'optimum-test-asset',
]

/** Flips bytes of a model's file again and again, `most` times at most. */
export function expectFlipsEnd(name: string, most: number): void {
  const original = readFileSync(sharedModel(`${name}.onnx`))
  const { integer } = random(8, name)
  const rounds = Math.min(most, Math.ceil(5e7 / original.length))
  for (let round = 0; round < rounds; round++) {
    const bytes = Uint8Array.from(original)
    // Most of the structure is at the ends; the middle is weights.
    const range = round % 2 ? bytes.length : 4000
    for (let flips = 1 + (round % 5); flips > 0; flips--) bytes[integer(range)]! ^= 1 << integer(8)
    load(bytes)
  }
}
