import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, type LossCase } from '../loss-harness.ts'

const [batch, classes] = [4, 3]
const shape = [batch, classes]
const labels = [0, 2, 1, 1]
const oneHot = labels.flatMap((label) => [0, 1, 2].map((each) => Number(each === label)))

/** log softmax of a row. */
function logs(values: Float64Array, row: number, temperature: number): number[] {
  const own = Array.from(
    values.subarray(row * classes, (row + 1) * classes),
    (v) => v / temperature,
  )
  const sum = own.reduce((total, value) => total + Math.exp(value), 0)
  return own.map((value) => value - Math.log(sum))
}

/** The loss with the others' answers as they are at first, for through them no gradient passes. */
const mutual =
  (count: number, temperature: number, fixed: Record<string, Float64Array> = {}) =>
  (x: Readonly<Record<string, Float64Array>>) => {
    let sum = 0
    for (let row = 0; row < batch; row++)
      for (let own = 0; own < count; own++) {
        const q = logs(x[`output${own}`]!, row, temperature)
        for (let other = 0; other < count; other++) {
          if (other === own) continue
          const name = `output${other}`
          fixed[name] ??= x[name]!.slice()
          const p = logs(fixed[name]!, row, temperature)
          for (let c = 0; c < classes; c++)
            sum +=
              ((temperature ** 2 * Math.exp(p[c]!) * (p[c]! - q[c]!)) / (count - 1)) * (1 / batch)
        }
        if (own > 0) sum -= logs(x[`output${own}`]!, row, 1)[labels[row]!]! / batch
      }
    return sum
  }

const caseOf = (count: number, temperature: number): LossCase => ({
  title: `${count} students, T = ${temperature}`,
  terms: [{ loss: 'mutual', temperature }],
  outputs: Array.from({ length: count }, () => ({ shape })),
  targets: { shape, content: oneHot },
  facts: { batch, classes },
  expected: mutual(count, temperature),
})

describe('mutual learning', () => {
  it.each([caseOf(2, 1), caseOf(3, 2)])('is what the paper says: $title', expectLoss)

  it('needs peers', async () => {
    await expect(computedLoss({ ...caseOf(2, 1), outputs: [{ shape }] })).rejects.toThrow(
      "test: 'mutual' needs peers: there are none — name them under 'peers'",
    )
  })
})
