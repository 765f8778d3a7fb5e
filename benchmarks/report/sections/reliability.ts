// Whether confidence can be believed: how often decisions of a confidence are right.
import type { Block, Curve } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import type { Report, Variant } from '../report.ts'
import { legendOf, seriesOf } from './cells.ts'

/** Bins with fewer samples say little. */
const fewest = 5

/** The reliability diagram (Niculescu-Mizil and Caruana 2005) of all models; nothing where none has two bins to join. */
export function reliabilityPlot(report: Report, measured: readonly Variant[]): Block[] {
  const curves = measured.flatMap((variant): Curve[] => {
    const points = (variant.knowledge?.calibration?.bins ?? []).flatMap(
      ({ count, confidence, accuracy }) =>
        count >= fewest && confidence !== null && accuracy !== null
          ? [{ x: confidence, y: accuracy }]
          : [],
    )
    const series = seriesOf(report, variant)
    return points.length > 1 ? [{ label: variant.id, series, dashed: false, points }] : []
  })
  if (curves.length === 0) return []
  const least = Math.min(...curves.flatMap(({ points }) => points.map(({ x }) => x)))
  const ends = [least, 1].map((share) => ({ x: share, y: share }))
  const calibrated = { label: 'calibrated', series: 0, dashed: true, points: ends }
  const drawn = new Set(curves.map(({ label }) => label))
  const percent = (value: number) => formatPercent(value, 0)
  return [
    {
      kind: 'plot',
      caption:
        'Accuracy by confidence, in bins of at least 5 samples; on the dashed line confidence can be believed, below it is too large',
      spec: {
        plot: 'curves',
        x: { label: 'Confidence', format: percent, scale: 'linear' },
        y: { label: 'Accuracy', format: percent, scale: 'linear' },
        curves: [calibrated, ...curves],
      },
      legend: legendOf(
        report,
        measured.filter(({ id }) => drawn.has(id)),
      ),
    },
  ]
}
