// What is left of the teacher's knowledge beyond its accuracy: answers, likeness inside, calibration, and what becomes of
// all that where the input changes.
import { tasks } from '../../../tasks/index.ts'
import type { Task } from '../../../tasks/task.ts'
import { type ChangeKind, changeKinds } from '../../knowledge/changes.ts'
import type { Block, Cell, Column } from '../blocks.ts'
import { formatNumber, formatPercent, formatSigned } from '../format.ts'
import { everyVariant } from '../judge.ts'
import { formatMetric, formatMetricInterval, mainMetric, metricTitle } from '../metrics.ts'
import type { Knowledge, Report, Variant } from '../report.ts'
import { missing, variantCell } from './cells.ts'
import { reliabilityPlot } from './reliability.ts'
import { transferByClass } from './transfer.ts'

/** A column of the table: what it shows of a variant, and what that is. */
interface Figure {
  readonly title: string
  readonly explained: (task: Pick<Task, 'agreementIs'>) => string
  /** Undefined where there is nothing to show. */
  readonly cell: (variant: Variant) => Cell | undefined
}

const figures: readonly Figure[] = [
  {
    title: 'Agreement',
    explained: ({ agreementIs }) => agreementIs,
    cell: ({ retention }) => (retention ? { text: formatPercent(retention.agreement) } : undefined),
  },
  {
    title: 'Right answers kept',
    explained: () =>
      'of those that the teacher gets right, the share that is right here too; below, the share ' +
      'that is right here of those that the teacher gets wrong',
    cell: ({ knowledge }) => {
      const { right, wrong } = knowledge?.transfer ?? {}
      if (!right || !wrong || right.value === null) return undefined
      const mended =
        wrong.value === null ? '' : `${formatPercent(wrong.value, 1)} of its errors mended`
      return { text: formatPercent(right.value), ...(mended && { note: mended }) }
    },
  },
  {
    title: 'KL',
    explained: () =>
      "how far the probabilities are from the teacher's, in nats; 0 for the same ones, less is better",
    cell: ({ retention }) =>
      typeof retention?.klDivergence === 'number'
        ? { text: formatNumber(retention.klDivergence) }
        : undefined,
  },
  {
    title: 'CKA',
    explained: () =>
      'how alike samples lie to each other in the penultimate features of both models, 1 for alike up to rotation ' +
      'and scale; below, the same of the outputs',
    cell: ({ knowledge }) => {
      const found = new Map(knowledge?.representation?.map(({ what, cka }) => [what, cka]))
      const features = found.get('features')
      const outputs = found.get('outputs')
      if (features === undefined) return undefined
      return {
        text: formatSigned(features, 3),
        ...(outputs !== undefined && { note: `outputs ${formatSigned(outputs, 3)}` }),
      }
    },
  },
  {
    title: 'ECE',
    explained: () =>
      'how far confidence and accuracy lie apart, over 15 bins; less is better. The Brier score below also sees how ' +
      'sharp the probabilities are',
    cell: ({ calibrationError, knowledge }) =>
      calibrationError === null
        ? undefined
        : {
            text: formatPercent(calibrationError),
            ...(knowledge?.calibration && {
              note: `Brier ${formatNumber(knowledge.calibration.brier)}`,
            }),
          },
  },
  {
    title: 'Saliency',
    explained: () =>
      "the mean cosine of the input gradients of both models' largest logits; below, how many of the tenth of " +
      'cells with the largest ones they share',
    cell: ({ knowledge }) =>
      knowledge?.saliency
        ? {
            text: formatSigned(knowledge.saliency.cosine, 3),
            note: `${formatPercent(knowledge.saliency.overlap, 1)} shared`,
          }
        : undefined,
  },
]

/** What stands for a figure that could not be measured; the reasons are listed. */
const unmeasured: Cell = { ...missing, note: 'see below' }

/** The task of a report; a later version may know more of them. */
function taskOf({ task = 'classification' }: Report): Pick<Task, 'agreementIs'> {
  return (
    new Map<string, Task>(Object.entries(tasks)).get(task) ?? {
      agreementIs: "how alike the decisions are to the teacher's",
    }
  )
}

/** A title inside a sentence: `noise`, but `JPEG`. */
const inside = (title: string): string =>
  /^\p{Lu}\p{Lu}/u.test(title) ? title : title[0]!.toLowerCase() + title.slice(1)

/** What reasons are called in the report. */
const titles: Readonly<Record<string, string>> = {
  transfer: 'right answers kept',
  calibration: 'calibration',
  representation: 'CKA',
  saliency: 'saliency',
  ...Object.fromEntries(
    Object.entries(changeKinds).map(([name, { title }]) => [name, inside(title)]),
  ),
}

/** The tables, the plots, what the figures mean, and why some are missing. */
export function knowledge(report: Report): Block[] {
  const measured = everyVariant(report).filter((variant) => variant.knowledge)
  if (measured.every(({ from }) => from === null)) return []
  const shown = figures.filter(({ cell }) => measured.some((one) => cell(one)))
  const reasons = reasonsOf(report, measured)
  return [
    {
      kind: 'table',
      caption: 'Likeness to the teacher',
      columns: [
        { title: 'Variant', align: 'left' },
        ...shown.map(({ title }) => ({ title, align: 'right' }) as const),
      ],
      rows: measured.map((variant) => [
        variantCell(report, variant),
        ...shown.map(({ cell }) => cell(variant) ?? unmeasured),
      ]),
    },
    ...robustness(report, measured),
    {
      kind: 'list',
      items: [
        ...shown.map(({ title, explained }) => `${title}: ${explained(taskOf(report))}.`),
        ...explainedChanges(measured),
      ],
    },
    ...(reasons.length > 0 ? [{ kind: 'list', items: reasons } as const] : []),
    ...reliabilityPlot(report, measured),
    ...transferByClass(report, measured),
  ]
}

/** The kinds of changes that anything was measured under; a later version may know more of them. */
function kindsIn(measured: readonly Variant[]): [name: string, kind: ChangeKind | undefined][] {
  const known = new Map<string, ChangeKind>(Object.entries(changeKinds))
  const names = measured.flatMap(({ knowledge }) =>
    Object.entries(knowledge?.robustness ?? {}).flatMap(([name, found]) => (found ? [name] : [])),
  )
  return [...new Set(names)].map((name) => [name, known.get(name)])
}

function robustness(report: Report, measured: readonly Variant[]): Block[] {
  const kinds = kindsIn(measured)
  if (kinds.length === 0) return []
  const metric = mainMetric(report)
  const columns = kinds.map(
    ([name, kind]): Column => ({ title: kind?.title ?? name, align: 'right' }),
  )
  return [
    {
      kind: 'table',
      caption: `${metricTitle(metric)} on changed samples over the teacher's on samples changed alike, at the middle strength`,
      columns: [{ title: 'Variant', align: 'left' }, ...columns],
      rows: measured.map((variant) => [
        variantCell(report, variant),
        ...kinds.map(([name]) => bearingCell(variant, name, metric)),
      ]),
    },
  ]
}

/** The teacher has its own figure, any other its ratio to that. */
function bearingCell({ knowledge, from }: Variant, name: string, metric: string): Cell {
  const bearings = at(knowledge?.robustness ?? {}, name)
  const middle = bearings?.[Math.floor(bearings.length / 2)]
  if (!middle) return unmeasured
  const { value, ratio, interval } = middle
  if (from === null) return { text: formatMetric(metric, value), note: 'the teacher itself' }
  if (ratio === null) return { text: '–', note: `${formatMetric(metric, value)}, the teacher none` }
  const around = interval ? `, ${formatMetricInterval('top1', interval)}` : ''
  return { text: formatPercent(ratio, 1), note: `${formatMetric(metric, value)}${around}` }
}

function explainedChanges(measured: readonly Variant[]): string[] {
  return kindsIn(measured).flatMap(([name, kind]) => {
    // What was measured, not what this version would measure.
    const strengths = measured
      .map(({ knowledge }) => at(knowledge?.robustness ?? {}, name))
      .find((bearings) => bearings)
      ?.map(({ strength }) => strength)
    return kind && strengths ? [`${kind.title}: ${kind.strength}: ${strengths.join(', ')}.`] : []
  })
}

// The same reason for several variants and figures is told once.
function reasonsOf(report: Report, measured: readonly Variant[]): string[] {
  const byReason = new Map<string, { whats: Set<string>; ids: Set<string> }>()
  for (const { id, knowledge } of measured)
    for (const [what, reason] of Object.entries(knowledge?.reasons ?? {})) {
      const found = byReason.get(reason) ?? { whats: new Set(), ids: new Set() }
      found.whats.add(Object.hasOwn(titles, what) ? titles[what]! : what)
      found.ids.add(id)
      byReason.set(reason, found)
    }
  const everyone = everyVariant(report).length
  return [...byReason].map(([reason, { whats, ids }]) => {
    const who = ids.size === everyone ? '' : ` of ${[...ids].join(', ')}`
    return `Not measured: ${[...whats].join(', ')}${who}: ${reason}`
  })
}

// A name from outside must not find what every object inherits.
const at = (of: Knowledge['robustness'], name: string) =>
  Object.hasOwn(of, name) ? of[name] : undefined
