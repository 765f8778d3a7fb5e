// What the teacher had right and a variant has wrong: which classes are confused more than before, and samples to look at.
import { logSoftmax } from '../base/statistics.ts'
import { encodeWav, peaksOf } from '../data/audio/encode.ts'
import type { Shown } from '../data/features/feature.ts'
import { encodePicture } from '../data/images/encode.ts'
import type { ShowSamples } from '../data/shown.ts'
import { largest } from '../tasks/predictions.ts'
import type { Predictions, Truth } from '../tasks/task.ts'
import type { ProviderContext } from './provider.ts'
import type { Answer, ForgottenSample, Variant } from './report/report.ts'
import type { Findings } from './subject.ts'

/** How samples are shown; nothing of them is shown without it. */
export interface SamplesOptions {
  /** At most so many in all. */
  readonly count: number
  readonly show: ShowSamples
}

/** What is known of forgotten samples. */
export interface FoundForgotten {
  /** By the ids of the variants. */
  readonly variants: ReadonlyMap<string, NonNullable<Variant['forgotten']>>
  readonly samples: readonly ForgottenSample[]
}

/** Changes of confusion that are told of a variant. */
const toldConfusions = 10
/** Characters of a text that are shown. */
const shownCharacters = 280
/** Bars of a waveform. */
const shownPeaks = 64
/** All pictures and sounds of a report together, bytes of their text; a page stays small. */
const budget = 200_000

/**
 * Finds what classifiers forgot, and shows some of it: in turn from each variant and class, what it lost most confidence in first.
 *
 * Undefined where the task has no single right class. The same predictions always give the same samples.
 */
export async function findForgotten(
  findings: readonly Findings[],
  { task, data, signal, log }: Pick<ProviderContext, 'task' | 'data' | 'signal' | 'log'>,
  options: SamplesOptions | undefined,
): Promise<FoundForgotten | undefined> {
  const [teacher, ...others] = findings
  const reference = teacher?.predictions
  if (task.target !== 'class' || data.classes.length < 2 || !reference) return undefined
  const judged = others.flatMap(({ subject, predictions }) =>
    predictions ? [{ id: subject.id, predictions, ...compare(reference, predictions, data) }] : [],
  )
  const variants = new Map(
    judged.map(({ id, lost, of, confusions }) => [id, { count: lost.length, of, confusions }]),
  )
  const chosen = options
    ? inTurn(
        judged.map(({ lost }) => lost),
        options.count,
      )
    : []
  if (!options || chosen.length === 0) return { variants, samples: [] }
  const contents = await contentsOf(await shown(options.show, chosen, signal, log))
  const samples = chosen.flatMap((index, place): ForgottenSample[] => {
    const content = contents[place]
    if (!content) return []
    const answers = judged.flatMap(({ id, predictions, lost }) =>
      lost.some((one) => one.index === index)
        ? [{ variant: id, ...answerOf(predictions.row(index), data) }]
        : [],
    )
    const actual = data.classes[data.labels[index]!]!
    return [{ index, actual, teacher: answerOf(reference.row(index), data), answers, ...content }]
  })
  return { variants, samples }
}

interface Lost {
  readonly index: number
  /** How much less probable the right class is than the teacher had it. */
  readonly drop: number
}

/** What a variant has wrong that the teacher had right, the worst of each class first, and the wrong answers that became more or fewer. */
function compare(teacher: Predictions, own: Predictions, { classes, labels, size }: Truth) {
  const pairs = new Map<number, { count: number; teacher: number }>()
  const note = (actual: number, answer: number, whose: 'count' | 'teacher') => {
    if (answer < 0 || answer === actual) return
    const key = actual * classes.length + answer
    const pair = pairs.get(key) ?? { count: 0, teacher: 0 }
    pair[whose]++
    pairs.set(key, pair)
  }
  const lost: Lost[] = []
  let of = 0
  for (let index = 0; index < size; index++) {
    const label = labels[index]!
    const [row, theirs] = [own.row(index), teacher.row(index)]
    const [answer, reference] = [largest(row), largest(theirs)]
    note(label, answer, 'count')
    note(label, reference, 'teacher')
    if (reference !== label) continue
    of++
    if (answer !== label)
      lost.push({ index, drop: probability(theirs, label) - probability(row, label) })
  }
  lost.sort((a, b) => b.drop - a.drop || a.index - b.index)
  const inTurnByClass = byTurns(lost, ({ index }) => labels[index]!)
  const confusions = [...pairs]
    .map(([key, pair]) => ({
      actual: classes[Math.floor(key / classes.length)]!,
      answer: classes[key % classes.length]!,
      ...pair,
    }))
    .filter((pair) => pair.count !== pair.teacher)
    .sort((a, b) => Math.abs(b.count - b.teacher) - Math.abs(a.count - a.teacher))
    .slice(0, toldConfusions)
  return { lost: inTurnByClass, of, confusions }
}

/** The first of each group, then the second of each, and so on. */
function byTurns<Item>(items: readonly Item[], groupOf: (item: Item) => number): Item[] {
  const groups = new Map<number, Item[]>()
  for (const item of items) {
    const group = groups.get(groupOf(item)) ?? []
    group.push(item)
    groups.set(groupOf(item), group)
  }
  const longest = Math.max(0, ...[...groups.values()].map((group) => group.length))
  return Array.from({ length: longest }, (_, turn) =>
    [...groups.values()].flatMap((group) => group[turn] ?? []),
  ).flat()
}

/** The first of each list, then the second of each, without repetition. */
function inTurn(lists: readonly (readonly Lost[])[], count: number): number[] {
  const chosen = new Set<number>()
  const longest = Math.max(0, ...lists.map((list) => list.length))
  for (let turn = 0; turn < longest; turn++)
    for (const list of lists) {
      const one = list[turn]
      if (one && chosen.size < count) chosen.add(one.index)
    }
  return [...chosen]
}

// An output that is not a number has no probabilities.
function probability(row: Float32Array, label: number): number {
  const value = largest(row) < 0 ? Number.NaN : Math.exp(logSoftmax(row)[label]!)
  return Number.isFinite(value) ? Math.min(1, value) : 0
}

function answerOf(row: Float32Array, { classes }: Truth): Answer {
  const answer = largest(row)
  return answer < 0
    ? { answer: null, confidence: null }
    : { answer: classes[answer] ?? null, confidence: probability(row, answer) }
}

/** What the data shows of samples; that it cannot be read again costs the samples, not the report. */
async function shown(
  show: ShowSamples,
  indices: readonly number[],
  signal: AbortSignal | undefined,
  log: (message: string) => void,
): ReturnType<ShowSamples> {
  try {
    return await show(indices, signal)
  } catch (thrown) {
    if (signal?.aborted || !(thrown instanceof Error) || thrown.name !== 'UserError') throw thrown
    log(`samples that were forgotten cannot be shown: ${thrown.message}`)
    return indices.map(() => [])
  }
}

type Content = Pick<ForgottenSample, 'texts' | 'image' | 'sound'>

/** What is shown of each sample, as text and data URIs; undefined where nothing is, or the budget is spent. */
async function contentsOf(shown: readonly (readonly Shown[])[]): Promise<(Content | undefined)[]> {
  const contents: (Content | undefined)[] = []
  let left = budget
  for (const parts of shown) {
    const texts: string[] = []
    let content: Content = {}
    for (const part of parts) {
      if (part.kind === 'text') texts.push(excerpt(part.text))
      else if (part.kind === 'image' && !content.image) {
        const { type, bytes, width, height } = await encodePicture(part.pixels)
        const source = dataUri(type, bytes)
        if (source.length > left) continue
        left -= source.length
        content = { ...content, image: { source, width, height } }
      } else if (part.kind === 'sound' && !content.sound) {
        const { samples, rate } = part
        const source = dataUri('audio/wav', encodeWav(samples, rate))
        const seconds = samples.length / rate
        const fits = source.length <= left
        if (fits) left -= source.length
        const sound = { seconds, peaks: peaksOf(samples, shownPeaks), ...(fits && { source }) }
        content = { ...content, sound }
      }
    }
    if (texts.length > 0) content = { ...content, texts }
    contents.push(Object.keys(content).length > 0 ? content : undefined)
  }
  return contents
}

const dataUri = (type: string, bytes: Uint8Array): string =>
  `data:${type};base64,${Buffer.from(bytes).toString('base64')}`

function excerpt(text: string): string {
  const characters = [
    ...text
      .slice(0, 4 * shownCharacters)
      .replace(/\s+/g, ' ')
      .trim(),
  ]
  return characters.length <= shownCharacters
    ? characters.join('')
    : `${characters.slice(0, shownCharacters - 1).join('')}…`
}
