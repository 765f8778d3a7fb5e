import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { DamagedError } from '../../../data/damaged.ts'
import { type AudioStatistics, audio, audioOptions } from '../../../data/features/audio.ts'
import type { FeatureContext } from '../../../data/features/feature.ts'
import type { Cell, ColumnType } from '../../../data/table.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { signal, wavFile, wavOf } from '../audio/sound.ts'

const contextOf = (type: ColumnType = 'bytes', folder?: string): FeatureContext => ({
  columns: [
    { name: 'label', type: 'text' },
    { name: 'audio', type },
  ],
  targets: ['label'],
  folder,
})

const optionsOf = (given: object) => audioOptions.parse({ kind: 'audio', rate: 8_000, ...given })

async function learn(given: object, cells: readonly Cell[]): Promise<AudioStatistics> {
  const learner = await audio.learn!(optionsOf(given), contextOf())
  for (const cell of cells) await learner.observe(['?', cell])
  return learner.finish()
}

async function encode(
  given: object,
  cell: Cell,
  context = contextOf(),
  learned: AudioStatistics = null,
) {
  const encoder = await audio.prepare(optionsOf(given), learned, context)
  const { shape } = encoder.outputs[0]!
  const into = new Float32Array(shape.reduce((product, size) => product * size, 1))
  await encoder.encode(['?', cell], [into])
  return { shape, values: into }
}

const steps = (count: number, rate = 8_000) =>
  wavFile(
    Array.from({ length: count }, (_, n) => (n + 1) * 1_024),
    { rate },
  )
const stepsOf = (...numbers: readonly number[]) => numbers.map((number) => number / 32)
const kaldi = { type: 'log-mel', convention: 'kaldi' }

describe('feature audio', () => {
  it.each([
    ['end', [1, 2, 3, 0, 0, 0]],
    ['centre', [0, 1, 2, 3, 0, 0]],
  ])('pads a short sound with silence: %s', async (pad, expected) => {
    const { shape, values } = await encode({ seconds: 6 / 8_000, pad }, steps(3))
    expect(shape).toEqual([6])
    expect(Array.from(values)).toEqual(stepsOf(...expected))
  })

  it.each([
    ['start', [1, 2, 3]],
    ['centre', [3, 4, 5]],
  ])('cuts a long sound: %s', async (cut, expected) => {
    const { values } = await encode({ seconds: 3 / 8_000, cut }, steps(8))
    expect(Array.from(values)).toEqual(stepsOf(...expected))
  })

  it('cuts the middle of a sound of another rate as if it had been resampled whole', async () => {
    const file = wavOf(signal(20_000, 44_100), 44_100)
    const whole = (await encode({ seconds: 3_629 / 8_000 }, file)).values
    const { values } = await encode({ seconds: 1_000 / 8_000, cut: 'centre' }, file)
    expect(values).toEqual(whole.slice(1_314, 2_314))
  })

  it.each([
    [{ frontEnd: kaldi }, [1, 98, 23]],
    [{ frontEnd: { ...kaldi, layout: 'sequence' } }, [23, 98]],
    [{ frontEnd: { ...kaldi, layout: 'frames' } }, [98, 23]],
    [{ frontEnd: { ...kaldi, type: 'mfcc', edges: 'reflect' } }, [1, 100, 13]],
    [{ frontEnd: { type: 'mfcc', convention: 'librosa' } }, [1, 16, 20]],
    [{ frontEnd: { type: 'waveform' }, seconds: 0.5 }, [4_000]],
    [{ frontEnd: { type: 'waveform', layout: 'sequence' } }, [1, 8_000]],
  ])('gives %j the shape %j', async (given, expected) => {
    expect((await encode(given, steps(10))).shape).toEqual(expected)
  })

  it('turns frames and bins for sequences', async () => {
    const file = wavOf(signal(8_000, 8_000), 8_000)
    const straight = await encode({ frontEnd: kaldi }, file)
    const turned = await encode({ frontEnd: { ...kaldi, layout: 'sequence' } }, file)
    for (const [frame, bin] of [
      [0, 0],
      [97, 22],
      [40, 3],
    ] as const)
      expect(turned.values[bin * 98 + frame]).toBe(straight.values[frame * 23 + bin])
  })

  it('makes mean 0 and deviation 1 of each bin of a sound', async () => {
    const file = wavOf(signal(8_000, 8_000), 8_000)
    const { values } = await encode({ frontEnd: kaldi, normalise: 'sample' }, file)
    for (let bin = 0; bin < 23; bin++) {
      const column = Array.from({ length: 98 }, (_, frame) => values[frame * 23 + bin]!)
      const mean = column.reduce((sum, value) => sum + value / 98, 0)
      expect(mean).toBeCloseTo(0, 5)
      expect(column.reduce((sum, value) => sum + value ** 2 / 98, 0)).toBeCloseTo(1, 5)
    }
  })

  it('learns mean and deviation of each bin over many sounds, as JSON', async () => {
    const given = { frontEnd: { ...kaldi, bins: 5 }, normalise: 'learned', seconds: 0.1 }
    const files = [0.2, 0.5, 1].map((factor) =>
      wavOf(
        signal(800, 8_000).map((sample) => sample * factor),
        8_000,
      ),
    )
    const learned = await learn(given, files)
    const again = JSON.parse(JSON.stringify(learned)) as AudioStatistics
    let [sum, squares, count] = [0, 0, 0]
    for (const file of files) {
      const { values } = await encode(given, file, contextOf(), again)
      expect(values).toHaveLength(8 * 5)
      for (let at = 3; at < values.length; at += 5, count++) {
        sum += values[at]!
        squares += values[at]! ** 2
      }
    }
    expect(sum / count).toBeCloseTo(0, 5)
    expect(squares / count).toBeCloseTo(1, 5)
  })

  it('learns one mean of all samples for waveforms, and nothing where it is not asked', async () => {
    const learned = await learn({ normalise: 'learned', seconds: 2 / 8_000 }, [
      steps(2),
      wavFile([3_072, 4_096], { rate: 8_000 }),
    ])
    expect(learned?.mean).toEqual([2.5 / 32])
    expect(learned?.deviation[0]).toBeCloseTo(Math.sqrt(1.25) / 32, 12)
    expect(await learn({}, [steps(2)])).toBeNull()
    await expect(learn({ normalise: 'learned' }, [])).rejects.toThrow(/nothing to learn/)
  })

  it.each(['none', 'sample', 'learned'])(
    'gives finite numbers for silence: %s',
    async (normalise) => {
      const given = { frontEnd: kaldi, normalise }
      const silence = wavFile([0], { rate: 8_000 })
      const { values } = await encode(given, silence, contextOf(), await learn(given, [silence]))
      expect(values.every(Number.isFinite)).toBe(true)
      if (normalise !== 'none') expect(values.every((value) => Math.abs(value) < 1e-6)).toBe(true)
    },
  )

  it('keeps sounds apart that are encoded side by side', async () => {
    const folder = temporaryFolder()
    const paths = [1, 2, 3, 4].map((number) => join(folder, `${number}.wav`))
    for (const [index, path] of paths.entries())
      writeFileSync(path, wavOf(signal(1_000 * (index + 1), 8_000), 8_000))
    const context = contextOf('file')
    const encoder = await audio.prepare(optionsOf({ frontEnd: kaldi }), null, context)
    const together = paths.map(() => new Float32Array(98 * 23))
    await Promise.all(paths.map((path, at) => encoder.encode(['?', { path }], [together[at]!])))
    for (const [index, path] of paths.entries())
      expect(together[index]).toEqual((await encode({ frontEnd: kaldi }, { path }, context)).values)
  })

  it('reads paths in cells inside their folder alone', async () => {
    const [folder, outside] = [temporaryFolder(), temporaryFolder()]
    writeFileSync(join(folder, 'a.wav'), steps(3))
    writeFileSync(join(outside, 'b.wav'), steps(3))
    symlinkSync(join(outside, 'b.wav'), join(folder, 'link.wav'))
    const context = contextOf('text', folder)
    const seconds = 3 / 8_000
    expect(Array.from((await encode({ seconds }, 'a.wav', context)).values)).toEqual(
      stepsOf(1, 2, 3),
    )
    const other = { seconds, folder: outside }
    expect((await encode(other, 'b.wav', context)).values).toHaveLength(3)
    for (const path of ['../b.wav', join(outside, 'b.wav'), 'link.wav'])
      await expect(encode({ seconds }, path, context)).rejects.toThrow(/leads out of the folder/)
    await expect(encode({ seconds }, 'a.wav', contextOf('text'))).rejects.toThrow(/no folder is/)
    await expect(encode({ seconds }, 'none.wav', context)).rejects.toThrow(DamagedError)
  })

  it.each<[string, Cell, RegExp]>([
    ['an empty cell', null, /column 'audio': no sound: the cell is empty/],
    ['a number', 3, /column 'audio': no sound: a number/],
    ['a list', [1, 2], /column 'audio': no sound: a list/],
    ['other bytes', Buffer.from('no sound'), /column 'audio': not a WAV file/],
    ['a missing file', { path: '/nowhere/a.wav' }, /\/nowhere\/a\.wav: no such file/],
  ])('says that %s is no sound', async (_, cell, message) => {
    const thrown = await encode({}, cell).catch((thrown: unknown) => thrown)
    expect(thrown).toBeInstanceOf(DamagedError)
    expect((thrown as Error).message).toMatch(message)
  })

  it('refuses columns without sounds, and lengths that cannot be', async () => {
    expect(() => audio.columns(optionsOf({ column: 'sound' }), contextOf())).toThrow(
      "column: no such column: 'sound' — the table has 'label', 'audio'",
    )
    expect(() => audio.columns(optionsOf({}), contextOf('number'))).toThrow(/of type number/)
    await expect(encode({ seconds: 1e-5 }, steps(1))).rejects.toThrow(/length.*: 0 samples/)
    await expect(encode({ seconds: 3e4 }, steps(1))).rejects.toThrow(/at most 16777216/)
    const learned = { mean: [1], deviation: [1] }
    await expect(
      encode({ frontEnd: kaldi, normalise: 'learned' }, steps(1), contextOf(), learned),
    ).rejects.toThrow(/learned for another front end: 1 means, 23 bins/)
  })
})
