// How good each model is, compared with the first one.
import type { Block, Cell } from '../report/blocks.ts'
import { formatProbability } from '../report/format.ts'
import { counted } from '../report/judge.ts'
import { formatDifference } from '../report/metrics.ts'
import { noDifference } from '../report/significance.ts'
import { type Comparison, figureDifference } from './comparison.ts'

/** A row for each model that was judged by the same samples as the first; nothing where there is none. */
export function differences({ models }: Comparison): Block[] {
  const [reference, ...others] = models
  const rows = others.flatMap((model): Cell[][] => {
    const found = figureDifference(model, reference!)
    if (!found) return []
    const { metric, difference, p, by } = found
    const sign = difference > 0 ? '+' : ''
    const significant = p === undefined ? by === 'apart' : p < 0.05
    return [
      [
        { text: model.id, series: models.indexOf(model) },
        { text: `${sign}${formatDifference(metric, difference)}` },
        { text: p === undefined ? '–' : formatProbability(p) },
        {
          text: significant ? (difference > 0 ? 'better' : 'worse') : judgement(by),
          ...(significant && { mark: difference > 0 ? ('good' as const) : ('bad' as const) }),
          note: ways[by],
        },
      ],
    ]
  })
  if (rows.length === 0) return []
  const left = others.length - rows.length
  return [
    {
      kind: 'table',
      caption: `Compared with ${reference!.id}`,
      columns: [
        { title: 'Model', align: 'left' },
        { title: 'Difference', align: 'right' },
        { title: 'p', align: 'right' },
        { title: 'So it is', align: 'left' },
      ],
      rows,
    },
    ...(left > 0
      ? [
          {
            kind: 'paragraph',
            text: `${counted(left, 'model')} cannot be compared with ${reference!.id}: judged on other samples, or not at all.`,
          } as const,
        ]
      : []),
  ]
}

const judgement = (by: keyof typeof ways): string =>
  by === 'overlap' ? 'not told apart' : noDifference

const ways = {
  paired: 'sample by sample, in the run',
  shares: 'as of independent samples',
  overlap: 'the 95 % intervals overlap',
  apart: 'the 95 % intervals lie apart',
} as const
