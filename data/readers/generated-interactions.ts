// Made-up implicit feedback: who touched what, of people and things that never were.
import { z } from 'zod'
import { type Random, random } from '../../base/random.ts'
import type { Row, Table } from '../table.ts'
import { defineReader } from './reader.ts'

const options = z.strictObject({
  users: z.int().min(1).max(1_000_000).default(1000).describe('How many users there are.'),
  items: z.int().min(2).max(100_000).default(500).describe('How many items there are.'),
  factors: z
    .int()
    .min(1)
    .max(64)
    .default(6)
    .describe('Hidden tastes: numbers that describe each user and item.'),
  interactionsPerUser: z
    .int()
    .min(1)
    .max(10_000)
    .default(30)
    .describe(
      'Mean number of interactions; each user has between a half and one and a half of it.',
    ),
  popularity: z
    .number()
    .min(0)
    .max(4)
    .default(0.3)
    .describe("Exponent of Zipf's law: how much more the first items are touched than the last."),
  noise: z
    .number()
    .min(0)
    .max(100)
    .default(0.3)
    .describe('How much chance decides beside taste; 0 for taste alone.'),
  seed: z.int().min(0).default(0).describe('Settles everything that is made up.'),
})

/** Options of the synthetic interactions. */
export type GeneratedInteractionsOptions = z.output<typeof options>

const categories = ['book', 'film', 'game', 'music', 'sport', 'tool', 'toy', 'travel']

/**
 * Synthetic interactions of a latent-factor model; no real data stand behind them.
 *
 * User u and item i have `factors` independent standard normal numbers p and q. What u is after is
 * p · q / √factors - popularity · ln(1 + i) + noise · Gumbel, and u touches the items with the highest values: with
 * noise 1 that draws items one after the other without replacement by the softmax of the rest (Kool et al. 2019).
 * `user_age` is 40 + 12 · the first number of p, plus up to 2.5 either way; `item_category` says which of the first
 * eight numbers of q is the largest: both carry taste. The rows of a user come in random order, numbered by `time`.
 */
export const generatedInteractions = defineReader({
  summary: 'made-up users and items with hidden tastes (synthetic), for ranking',
  options,
  async open(_place, chosen) {
    return generatedTable(chosen)
  },
})

/** The table of {@link generatedInteractions}. */
export function generatedTable(chosen: GeneratedInteractionsOptions): Table {
  const { users, items, factors, interactionsPerUser, popularity, noise, seed } = chosen
  return {
    columns: [
      { name: 'user', type: 'text' },
      { name: 'item', type: 'text' },
      { name: 'time', type: 'number' },
      { name: 'user_age', type: 'number' },
      { name: 'item_category', type: 'text' },
    ],
    train: {
      where: 'generated interactions',
      *rows() {
        const described = random(seed, 'items')
        const tastes = Float64Array.from({ length: items * factors }, () => described.normal())
        const values = new Float64Array(items)
        for (let user = 0; user < users; user++) {
          const chance = random(seed, 'user', user)
          const taste = Float64Array.from({ length: factors }, () => chance.normal())
          const age = Math.round(40 + 12 * taste[0]! + 5 * (chance.uniform() - 0.5))
          for (let item = 0; item < items; item++) {
            let product = 0
            for (let factor = 0; factor < factors; factor++)
              product += taste[factor]! * tastes[item * factors + factor]!
            values[item] =
              product / Math.sqrt(factors) -
              popularity * Math.log(1 + item) +
              noise * gumbel(chance)
          }
          const wanted = Math.round(interactionsPerUser * (0.5 + chance.uniform()))
          const touched = highest(values, Math.min(items, Math.max(1, wanted)))
          for (const [time, place] of chance.permutation(touched.length).entries()) {
            const item = touched[place]!
            const row: Row = [`u${user}`, `i${item}`, time, age, category(tastes, item, factors)]
            yield row
          }
        }
      },
    },
    // There is no file whose state could tell whether records in the cache are still right.
    inMemory: true,
  }
}

const gumbel = (chance: Random) => -Math.log(-Math.log(Math.max(chance.uniform(), 2 ** -54)))

/** The positions of the highest values. */
function highest(values: Float64Array, count: number): Uint32Array {
  const order = Uint32Array.from(values.keys())
  return order.sort((a, b) => values[b]! - values[a]! || a - b).subarray(0, count)
}

function category(tastes: Float64Array, item: number, factors: number): string {
  let best = 0
  const named = Math.min(factors, categories.length)
  for (let factor = 1; factor < named; factor++)
    if (tastes[item * factors + factor]! > tastes[item * factors + best]!) best = factor
  return categories[best]!
}
