// The teacher's answers: read from disk or asked for, they are the same.
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { Float16Array } from '@petamoriken/float16'
import type { ArchitectureInput } from '../../../models/index.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { cachedSource } from '../../../stages/teaching/cached.ts'
import { defaultCombination } from '../../../stages/teaching/combine.ts'
import { openTeaching } from '../../../stages/teaching/teaching.ts'
import { tasks } from '../../../tasks/index.ts'
import { mixedData, numbersOf } from '../mixed-data.ts'
import { contextOf, data as quarters } from '../support.ts'
import { anew, answersOf, architecture, first, kept, member, written } from './support.ts'

const float = (...shape: (number | string)[]) => ({ dtype: 'float32' as const, shape })

/** Softmax of v, and the ids as floats, three times as large. */
function twoOutputs(): Model {
  const { model, g } = newModel('teacher')
  const v = g.input('v', float('N', 2))
  const ids = g.input('text', { dtype: 'int64', shape: ['N', 3] })
  g.output('p', g.Softmax(g.Identity(v), { axis: 1 }), float('N', 2))
  g.output('t', g.Mul(g.Cast(ids, { to: 1 }), 3), float('N', 3))
  return model
}

const all = { ...first, outputs: 'all' } as const
const data = mixedData(10)
const half = { ...kept, store: 'float16' } as const

/** A context for outputs that are no classes. */
function matching(model: Model) {
  const { context, messages } = contextOf(model)
  return { context: { ...context, task: tasks.match }, messages }
}

describe('answers', () => {
  it.each([
    ['first', first, 1],
    ['all', all, 2],
  ] as const)('of %s outputs are the same from disk and asked for', async (_, asked, count) => {
    const model = twoOutputs()
    const { context, messages } = matching(model)
    const fromDisk = await answersOf([member('teacher', model)], data, context, { asked })
    const anewly = await answersOf([member('teacher', model)], data, context, { asked, how: anew })
    expect(fromDisk).toEqual(anewly)
    expect(fromDisk).toHaveLength(count)
    for (let sample = 0; sample < 10; sample++) {
      // What goes into the Softmax, not what comes out of it.
      expect(fromDisk[0]![sample]).toEqual(numbersOf(sample, 0.5, 2))
      if (count === 2)
        expect(fromDisk[1]![sample]).toEqual(numbersOf(sample, 1, 3).map((id) => 3 * id))
    }
    expect(messages).toEqual(['teacher answers 10 training samples'])
  })

  it.each<[string, ArchitectureInput]>([
    ['an mlp', { architecture: 'mlp', hidden: [40] }],
    ['a lenet', { architecture: 'lenet', channels: [4, 6] }],
    ['a resnet', { architecture: 'resnet', depth: 8, width: 4 }],
  ])('of %s are bit by bit the same, and in float16 within its rounding', async (_, options) => {
    const model = architecture(options)
    const { context } = contextOf(model)
    const samples = { ...quarters.train, size: 60 }
    const teacher = [member('teacher', model)]
    const [fromDisk] = await answersOf(teacher, samples, context)
    const [anewly] = await answersOf(teacher, samples, context, { how: anew })
    const [halves] = await answersOf(teacher, samples, context, { how: half })
    expect(fromDisk).toEqual(anewly)
    expect(halves).toEqual(anewly!.map((row) => [...new Float16Array(row)]))
  })

  it('take half the place in float16', async () => {
    const model = architecture({ architecture: 'mlp', hidden: [4] })
    const { context } = contextOf(model)
    const bytes = async (how: typeof kept | typeof half) => {
      const before = new Set(namesIn(context.shared))
      await answersOf([member('teacher', model)], quarters.train, context, { how })
      const [made] = namesIn(context.shared).filter(
        (name) => !before.has(name) && name.endsWith('.records'),
      )
      return statSync(join(context.shared, made!)).size
    }
    expect(await bytes(kept)).toBe(256 * 16)
    expect(await bytes(half)).toBe(256 * 8)
  })

  it('are read by position where they are many', async () => {
    const model = written(2, (g, v) => g.Neg(v))
    const { context } = matching(model)
    const respondent = {
      ...{ name: 'teacher', bytes: serializeModel(model), names: ['y'], form: 'values' as const },
      rowWidth: (width: number) => width,
    }
    const keeping = { store: 'float16', batch: 4, exact: new Set<number>() } as const
    const source = await cachedSource(respondent, data, keeping, context, 10)
    for (const indices of [Uint32Array.of(7, 0), Uint32Array.of(3, 9)]) {
      const [values] = await source.ask({ indices, size: 2, inputs: [] })
      const wanted = [...indices].flatMap((sample) => numbersOf(sample, 0.5, 2))
      expect([...values!]).toEqual(wanted.map((value) => -value))
    }
  })

  it('that float16 cannot hold are kept as float32, which is said once', async () => {
    const model = written(2, (g, v) => g.Mul(v, 1000))
    const { context, messages } = matching(model)
    const teacher = [member('teacher', model)]
    for (let again = 0; again < 2; again++) {
      const [found] = await answersOf(teacher, data, context, { how: half })
      expect(found![9]).toEqual([90500, 91500])
    }
    expect(messages).toEqual([
      'teacher answers 10 training samples',
      "teacher: 'y' reaches 70500, beyond float16: its answers are kept as float32",
    ])
  })

  it('are asked for once, and again for other outputs, data, teachers or ways to keep them', async () => {
    const model = twoOutputs()
    const { context, messages } = matching(model)
    const open = async (of: Model, asked: typeof first, samples = data, how = kept) => {
      const teaching = await openTeaching(
        [member('teacher', of)],
        defaultCombination,
        ...([asked, samples, how, context] as const),
      )
      await teaching.close()
    }
    await open(model, first)
    await open(model, first, mixedData(10))
    expect(messages).toHaveLength(1)
    await open(model, all)
    await open(model, first, mixedData(9))
    await open(
      written(2, (g, v) => g.Neg(v)),
      first,
    )
    await open(model, first, data, half)
    await open(model, { ...first, taps: [{ name: 'v', shape: [2] }] })
    expect(messages).toHaveLength(6)
    expect(readdirSync(context.shared).filter((name) => name.includes('.tmp'))).toEqual([])
  })

  it('are asked for again where their file is damaged', async () => {
    const model = twoOutputs()
    const { context, messages } = matching(model)
    const ask = () => answersOf([member('teacher', model)], data, context, { asked: all })
    const before = await ask()
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
      expect(await ask()).toEqual(before)
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
    const { context } = matching(model)
    const batch = { indices: Uint32Array.of(4, 0), size: 2, inputs: [] }
    const byHand = [...batch.indices].flatMap((sample) => {
      const [a, b] = numbersOf(sample, 0.5, 2)
      return [a!, b! + a! / 2]
    })
    const open = (asked: typeof first) =>
      openTeaching([member('teacher', model)], defaultCombination, asked, wave, kept, context)
    const [steps, negative] = await (await open(all)).answers(batch)
    expect([...steps!]).toEqual(byHand)
    expect([...negative!]).toEqual(byHand.map((value) => -value))
    const alone = await (await open(first)).answers(batch)
    expect(alone.map((values) => [...values])).toEqual([byHand])
    await expect(open({ ...first, gradient: true })).rejects.toThrow(
      'teacher: is fed in chunks, and has no gradient by a whole input — use another loss',
    )
  })
})

/** The names in a folder that may not be there yet. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
