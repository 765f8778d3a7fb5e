// How the stages that train got there: accuracy and loss by epoch.
import type { Block, Curve } from '../blocks.ts'
import { formatNumber } from '../format.ts'
import { everyVariant } from '../judge.ts'
import { formatMetric, formatTick, mainMetric, metricTitle } from '../metrics.ts'
import type { Report, TrainingEpoch, Variant } from '../report.ts'
import { legendOf, missing, seriesOf, variantCell } from './cells.ts'

/** Shows the best epoch of each training, and the curves. */
export function training(report: Report): Block[] {
  const trained = everyVariant(report).filter(({ training: course }) => course?.epochs.length)
  if (trained.length === 0) return []
  const curve = (dashed: boolean, measure: (epoch: TrainingEpoch) => number | null | undefined) =>
    trained.flatMap((variant): Curve[] => {
      const points = epochsOf(variant).flatMap((epoch) => {
        const y = measure(epoch)
        return typeof y === 'number' ? [{ x: epoch.epoch, y }] : []
      })
      const series = seriesOf(report, variant)
      return points.length > 0 ? [{ label: variant.id, series, dashed, points }] : []
    })
  const validation = curve(false, ({ validationAccuracy }) => validationAccuracy)
  const train = curve(true, ({ trainAccuracy }) => trainAccuracy)
  const loss = curve(false, ({ loss: value }) => (value > 0 ? value : undefined))
  const x = { label: 'Epoch', format: String, scale: 'whole' } as const
  const legend = legendOf(report, trained)
  const metric = mainMetric(report)
  const title = metricTitle(metric)
  const plots: Block[] = []
  if (validation.length + train.length > 0) {
    plots.push({
      kind: 'plot',
      caption:
        train.length > 0
          ? `${title} by epoch: solid on the validation split, dashed on the training batches`
          : `${title} on the validation split by epoch`,
      spec: {
        plot: 'curves',
        x,
        y: { label: title, format: (value) => formatTick(metric, value), scale: 'linear' },
        curves: [...validation, ...train],
      },
      legend,
    })
  }
  if (loss.length > 0) {
    plots.push({
      kind: 'plot',
      caption: 'Training loss by epoch; stages have different losses, so only shapes compare',
      spec: {
        plot: 'curves',
        x,
        y: { label: 'Loss', format: formatNumber, scale: 'log' },
        curves: loss,
      },
      legend,
    })
  }
  return [...plots, table(report, trained)]
}

function table(report: Report, trained: readonly Variant[]): Block {
  const metric = mainMetric(report)
  return {
    kind: 'table',
    caption: 'Trainings',
    columns: [
      { title: 'Variant', align: 'left' },
      { title: 'Epochs', align: 'right' },
      { title: 'Best epoch', align: 'right' },
      { title: metricTitle(metric), align: 'right', unit: 'validation, best epoch' },
      { title: 'Last loss', align: 'right' },
      { title: 'Time', align: 'right', unit: 's' },
    ],
    rows: trained.map((variant) => {
      const epochs = epochsOf(variant)
      const accuracyOf = (epoch: TrainingEpoch) =>
        epoch.validationAccuracy ?? Number.NEGATIVE_INFINITY
      // Of equally good epochs the last one is kept, as training does.
      const best = epochs.reduce((a, b) => (accuracyOf(b) >= accuracyOf(a) ? b : a))
      const measured = Number.isFinite(accuracyOf(best))
      const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0)
      return [
        variantCell(report, variant),
        { text: String(epochs.length) },
        measured ? { text: String(best.epoch) } : missing,
        measured ? { text: formatMetric(metric, accuracyOf(best)) } : missing,
        { text: formatNumber(epochs.at(-1)?.loss ?? 0) },
        { text: seconds.toFixed(1) },
      ]
    }),
  }
}

const epochsOf = ({ training: course }: Variant): readonly TrainingEpoch[] => course?.epochs ?? []
