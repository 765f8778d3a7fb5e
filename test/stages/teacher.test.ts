// The teacher's answers: read from disk or asked for, they are the same.
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { batches } from '../../data/batches.ts'
import type { Dataset } from '../../data/dataset.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { feedingOf } from '../../stages/feeding.ts'
import { cachedAnswers, onlineAnswers, taughtOutputs } from '../../stages/teacher.ts'
import type { LossOptions } from '../../train/losses.ts'
import { mixedData, numbersOf } from './mixed-data.ts'
import { contextOf } from './support.ts'

const float = (...shape: (number | string)[]) => ({ dtype: 'float32' as const, shape })

/** Softmax of v, and the ids as floats, three times as large. */
function teacher(): Model {
  const { model, g } = newModel('teacher')
  const v = g.input('v', float('N', 2))
  const ids = g.input('text', { dtype: 'int64', shape: ['N', 3] })
  g.output('p', g.Softmax(g.Identity(v), { axis: 1 }), float('N', 2))
  g.output('t', g.Mul(g.Cast(ids, { to: 1 }), 3), float('N', 3))
  return model
}

const first = taughtOutputs([{ loss: 'kl', weight: 1, temperature: 2 } as LossOptions])
const all = taughtOutputs([{ loss: 'match', weight: 1 } as LossOptions])
const data = mixedData(10)

/** A copy of the answers for every batch, by sample. */
async function answersOf(
  of: Dataset,
  ask: Awaited<ReturnType<typeof cachedAnswers>>,
  options = { size: 4, shuffle: true, seed: 3 },
) {
  const feeding = feedingOf(teacher().graph, of, { target: 'class' }, options.size)
  const found = new Map<number, number[][]>()
  for await (const fed of feeding.batches(batches(of, options))) {
    const outputs = await ask(fed)
    for (const [row, index] of fed.indices.entries())
      found.set(
        index,
        outputs.map((values) => {
          const width = values.length / fed.size
          return [...values.subarray(row * width, (row + 1) * width)]
        }),
      )
  }
  return new Map([...found].sort(([a], [b]) => a - b))
}

describe('answers', () => {
  it.each([
    ['first', first, 1],
    ['all', all, 2],
  ] as const)('of %s outputs are the same from disk and asked for', async (_, wanted, count) => {
    const { context, messages } = contextOf(teacher())
    const kept = await answersOf(data, await cachedAnswers(data, wanted, context))
    const { answers, session } = await onlineAnswers(data, wanted, context)
    const asked = await answersOf(data, answers)
    await session.dispose()
    expect(kept).toEqual(asked)
    expect([...kept.keys()]).toHaveLength(10)
    for (const [sample, outputs] of kept) {
      expect(outputs).toHaveLength(count)
      // What goes into the Softmax, not what comes out of it.
      expect(outputs[0]).toEqual(numbersOf(sample, 0.5, 2))
      if (count === 2) expect(outputs[1]).toEqual(numbersOf(sample, 1, 3).map((id) => 3 * id))
    }
    expect(messages).toEqual(['teacher answers 10 training samples'])
  })

  it('are asked for once, and again for other outputs, data or teachers', async () => {
    const { context, messages } = contextOf(teacher())
    await cachedAnswers(data, first, context)
    await cachedAnswers(mixedData(10), first, context)
    expect(messages).toHaveLength(1)
    await cachedAnswers(data, all, context)
    await cachedAnswers(mixedData(9), first, context)
    const { model, g } = newModel('other')
    g.output('p', g.Neg(g.input('v', float('N', 2))), float('N', 2))
    await cachedAnswers(data, first, { ...context, teacher: model })
    expect(messages).toHaveLength(4)
    expect(readdirSync(context.shared).filter((name) => name.includes('.tmp'))).toEqual([])
  })

  it('are asked for again where their file is damaged', async () => {
    const { context, messages } = contextOf(teacher())
    const before = await answersOf(data, await cachedAnswers(data, all, context))
    const names = readdirSync(context.shared).map((name) => join(context.shared, name))
    const records = names.find((name) => name.endsWith('.records'))!
    const facts = names.find((name) => name.endsWith('.json'))!
    const damages = [
      () =>
        writeFileSync(
          records,
          readFileSync(records).map((byte) => byte ^ 1),
        ),
      () => truncateSync(records, 20),
      () => writeFileSync(facts, '{'),
      () => writeFileSync(facts, '{}'),
    ]
    for (const [done, damage] of damages.entries()) {
      damage()
      expect(await answersOf(data, await cachedAnswers(data, all, context))).toEqual(before)
      expect(messages).toHaveLength(done + 2)
    }
  })

  it('of a teacher that carries state are those of all chunks', async () => {
    const { model, g } = newModel('recurrent')
    const x = g.input('x', float('N', 1))
    const s = g.input('s', float('N', 1))
    const y = g.Add(x, g.Mul(s, 0.5))
    g.output('y', y, float('N', 1))
    g.output('next', g.Identity(y), float('N', 1))
    g.output('z', g.Neg(y), float('N', 1))
    const wave = mixedData(5, {
      inputs: { x: { column: 'v', chunk: 1 }, s: { carry: 'next' } },
    })
    const { context } = contextOf(model)
    const indices = Uint32Array.of(4, 0)
    const batch = { indices, size: 2, inputs: [] }
    const [steps, negative] = await (await cachedAnswers(wave, all, context))(batch)
    const byHand = [...indices].flatMap((sample) => {
      const [a, b] = numbersOf(sample, 0.5, 2)
      return [a!, b! + a! / 2]
    })
    expect([...steps!]).toEqual(byHand)
    expect([...negative!]).toEqual(byHand.map((value) => -value))
    const alone = await (await cachedAnswers(wave, first, context))(batch)
    expect(alone.map((values) => [...values])).toEqual([byHand])
  })
})
