// Whole trainings with losses that learn something of their own: through the real graph, engine and loop.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { inferShapes } from '../../../runtime/shapes.ts'
import { train } from '../../../train/loop.ts'
import { auxiliary } from '../../../train/loss-context.ts'
import type { TaughtValue } from '../../../train/taps.ts'
import { parsed } from '../loss-harness.ts'
import { classes, patterns, residualNet, settingsFor } from '../support.ts'

const samples = 96

/** The ends of the stages of the student: what its last two ReLUs of an image give. */
async function stages(): Promise<string[]> {
  const model = residualNet()
  await inferShapes(model)
  const relus = model.graph.nodes.filter(({ opType }) => opType === 'Relu')
  return relus.map((node) => node.output().name).slice(-3)
}

/** A teacher whose features and logits are those of the class, with some noise of the sample. */
function answers(shapes: readonly (readonly number[])[]) {
  const { labels } = patterns(samples, 1)
  return (index: number): number[][] =>
    shapes.map((shape, place) => {
      const size = shape.reduce((product, dim) => product * dim, 1)
      const [template, noise] = [random(1, place, labels[index]!), random(2, place, index)]
      return Array.from({ length: size }, () => template.normal() + 0.1 * noise.normal())
    })
}

const taught = {
  outputs: 1,
  taps: [
    { name: 't0', shape: [6, 4, 4] },
    { name: 't1', shape: [8, 2, 2] },
  ],
}

async function trained(terms: readonly object[], epochs: number) {
  const answer = answers([[classes], ...taught.taps.map(({ shape }) => shape)])
  const settings = settingsFor(
    { epochs },
    {
      losses: parsed(terms),
      ...{ taught, samples },
      teacher: ({ indices }) => {
        const rows = [...indices].map(answer)
        return [0, 1, 2].map((place) => Float32Array.from(rows.flatMap((row) => row[place]!)))
      },
    },
  )
  return train(residualNet(), settings)
}

describe('losses that learn something of their own', () => {
  it('fall side by side, and leave nothing behind', async () => {
    const [, shallow, deep] = (await stages()) as [string, string, string]
    const last = [{ teacher: 't1', student: deep }]
    const taps = [{ teacher: 't0', student: shallow }, ...last]
    const crd = { loss: 'crd', dimension: 16, negatives: 32 }
    const falling = [
      { loss: 'vid', taps },
      { ...crd, taps: last },
      // Once more: with weights and memory of its own.
      { ...crd, taps: last },
      { ...crd, taps, form: 'info-nce' },
      { loss: 'factor', taps, power: 2 },
      { loss: 'review', taps },
      { loss: 'deep-supervision', taps: [shallow, deep], hint: 0.1 },
    ]
    const { model, epochs } = await trained([...falling, { loss: 'adversarial' }], 3)
    const [first, final] = [epochs[0]!.terms!, epochs.at(-1)!.terms!]
    for (const index of falling.keys()) expect(final[index]!).toBeLessThan(first[index]!)
    // The adversaries hold each other.
    expect(final.at(-1)!).toBeGreaterThan(0)
    const names = [...model.graph.initializers, ...model.graph.inputs].map(({ name }) => name)
    expect(names.filter((name) => name.startsWith(auxiliary) || name.startsWith('memory'))).toEqual(
      [],
    )
  })
})

/** Padded texts of tokens 2 to 19, all of them one batch, and a teacher's answers of noise. */
function texts(size: number, length: number, taught: readonly TaughtValue[]) {
  const source = random(3, 'texts')
  const tokens = BigInt64Array.from({ length: size * length }, () => BigInt(2 + source.integer(18)))
  const counted = BigInt64Array.from({ length: size * length }, (_, place) =>
    place % length < 2 + (Math.floor(place / length) % 5) ? 1n : 0n,
  )
  const inputs = [tokens.map((id, place) => id * counted[place]!), counted]
  const shapes = [[classes], ...taught.map(({ shape }) => shape)]
  const answers = shapes.map((shape) => {
    const width = shape.reduce((product, dim) => product * dim, 1)
    return Float32Array.from({ length: size * width }, () => source.normal())
  })
  return { inputs, answers }
}

describe('losses of what is inside transformers', () => {
  it('fall on padded texts', async () => {
    const [size, length, steps] = [8, 6, 8]
    const student = buildArchitecture(
      { architecture: 'bert', layers: 2, hidden: 12, heads: 3, intermediate: 16 },
      {
        inputs: ['input_ids', 'attention_mask'].map((name) => ({
          ...{ name, dtype: 'int64', shape: [length], ids: name === 'input_ids' ? 20 : 2 },
        })),
        outputs: classes,
        seed: 1,
      },
    )
    const taught = [
      { name: 'scores', shape: [4, length, length] },
      { name: 'values', shape: [length, 16] },
    ]
    const { inputs, answers } = texts(size, length, taught)
    const pair = (teacher: string, own: string) => [{ teacher, student: own }]
    const mask = 'attention_mask'
    const terms = [
      // Behind the mask of the model: scores of padding are far below all others.
      { loss: 'attention', taps: pair('scores', 'Add_4_output'), mask },
      { loss: 'relations', taps: pair('values', 'Add_3_output'), mask },
      { loss: 'feature', taps: pair('values', 'block2.feedforward.norm_output'), mask },
    ]
    const batch = { inputs, size, indices: new Uint32Array(size) }
    const { epochs } = await train(
      student,
      settingsFor(
        { epochs: 3, batch: size },
        {
          losses: parsed(terms),
          taught: { outputs: 1, taps: taught },
          teacher: () => answers,
          batches: () => Array.from({ length: steps }, () => batch),
          stepsPerEpoch: steps,
          sample: undefined,
          dims: { N: size },
          validate: async () => 1,
        },
      ),
    )
    const [first, final] = [epochs[0]!.terms!, epochs.at(-1)!.terms!]
    for (const index of terms.keys()) expect(final[index]!).toBeLessThan(first[index]!)
    // Far below what -10,000 would make of it.
    expect(Math.max(...first)).toBeLessThan(100)
  })
})
