// `condense explain`: what the students of a run learned from, and with --ablate what of it helped.
import type { Argv } from 'yargs'
import { formatNumber, formatPercent, formatProbability } from '../benchmarks/report/format.ts'
import { counted } from '../benchmarks/report/judge.ts'
import {
  formatDifference,
  formatMetric,
  formatMetricInterval,
  type MainFigure,
  metricTitle,
} from '../benchmarks/report/metrics.ts'
import { type Ablation, ablate } from '../pipeline/ablation.ts'
import {
  type ExplainedVariant,
  type Explanation,
  explainRun,
  openRun,
} from '../pipeline/explain.ts'
import type { Scheduled } from '../train/scheduled.ts'
import type { Arguments, CommandContext } from './commands.ts'
import { exitCodes } from './exit.ts'
import { numberOption, textOption } from './options.ts'
import { table } from './table.ts'
import { openTerminal } from './terminal.ts'

/** Declares the options of `condense explain`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('run', {
      type: 'string',
      demandOption: true,
      describe: 'The folder of a finished run, as runs/<name>',
    })
    .option('ablate', {
      type: 'string',
      describe:
        'Distil again with each loss left out in turn, and compare: every student, or the one of this id',
    })
    .option('threads', {
      type: 'string',
      describe: 'Threads for training; as in the run to reuse it',
    })
    .option('out', {
      type: 'string',
      alias: 'o',
      describe: 'Folder of the ablation; <run>/ablation unless given',
    })
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'As JSON; with --ablate events as JSON lines, then the result',
    })
    .example('$0 explain runs/digits', 'See what the students learned from')
    .example('$0 explain runs/digits --ablate', 'See which loss helped')

/** Prints what a run tells of its students, or makes the ablation. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const finished = openRun(textOption(args, 'run') ?? '')
  const json = args.json === true
  const variant = textOption(args, 'ablate')
  if (variant === undefined) {
    const explanation = explainRun(finished)
    process.stdout.write(
      json ? `${JSON.stringify(explanation, null, 2)}\n` : explanationText(explanation),
    )
    return exitCodes.done
  }
  const terminal = openTerminal({ json })
  try {
    const ablation = await ablate(finished, {
      variant: variant === '' ? undefined : variant,
      threads: numberOption(args, 'threads', { integer: true, minimum: 1 }),
      outFolder: textOption(args, 'out'),
      signal,
      onEvent: terminal.listen,
    })
    terminal.close()
    process.stdout.write(
      json ? `${JSON.stringify({ event: 'ablation', ablation })}\n` : ablationText(ablation),
    )
    return exitCodes.done
  } finally {
    terminal.close()
  }
}

function explanationText({ variants, teacher, advice }: Explanation): string {
  return [
    ...(teacher ? [`teacher: ${withTitle(teacher)}`, ''] : []),
    ...variants.flatMap((variant) => [...variantLines(variant), '']),
    ...advice.map((line) => `advice: ${line}`),
    ...(advice.length > 0 ? [''] : []),
  ].join('\n')
}

function variantLines({ id, stage, from, losses, epochs, ...result }: ExplainedVariant): string[] {
  const { score, retention, agreement, klDivergence } = result
  const said = [
    score ? withTitle(score) : 'not measured',
    ...(retention === null ? [] : [`retention ${formatPercent(retention)}`]),
    ...(agreement === null ? [] : [`agreement ${formatPercent(agreement)}`]),
    ...(klDivergence === null ? [] : [`KL ${formatNumber(klDivergence)}`]),
  ]
  const inPhases = losses.some(({ phase }) => phase !== undefined)
  const rows = losses.map(({ loss, phase, weight, temperature, share }) => [
    ...(inPhases ? [String(phase ?? '')] : []),
    loss,
    written(weight),
    temperature === undefined ? '' : written(temperature),
    share === undefined ? '' : formatPercent(share, 1),
  ])
  return [
    `${id}: ${stage} from ${from ?? 'nothing'}, ${counted(epochs, 'epoch')}: ${said.join(', ')}`,
    table(
      [...(inPhases ? ['phase'] : []), 'loss', 'weight', 'temperature', 'share of the last epoch'],
      rows,
    ),
  ]
}

function ablationText({ students, folder }: Ablation): string {
  const lines = students.flatMap(({ variant, score, without, conclusion, ...likeness }) => {
    const { metric } = score ?? without.find((row) => row.score)?.score ?? { metric: 'top1' }
    const rows = without.map((row) => [
      row.leftOut,
      row.score ? withInterval(row.score) : `failed: ${row.failed ?? 'not measured'}`,
      row.difference === null ? '' : formatDifference(metric, row.difference),
      row.p === null ? '' : formatProbability(row.p),
      ...likenessCells(row),
    ])
    return [
      `${variant}:`,
      table(
        [
          'left out',
          metricTitle(metric).toLowerCase(),
          'difference',
          'p',
          'agreement with the teacher',
          'KL',
        ],
        [
          ['nothing', score ? withInterval(score) : 'failed', '', '', ...likenessCells(likeness)],
          ...rows,
        ],
      ),
      conclusion,
      '',
    ]
  })
  return [
    ...lines,
    'p is of a paired test over the test samples, of one training each; another seed varies them further.',
    `report: ${folder}/report.html`,
    '',
  ].join('\n')
}

const likenessCells = ({
  agreement,
  klDivergence,
}: {
  readonly agreement: number | null
  readonly klDivergence: number | null
}): string[] => [
  agreement === null ? '' : formatPercent(agreement),
  klDivergence === null ? '' : formatNumber(klDivergence),
]

const withInterval = ({ metric, value, interval }: MainFigure): string =>
  `${formatMetric(metric, value)} (${formatMetricInterval(metric, interval)})`

const withTitle = (figure: MainFigure): string => {
  const title = metricTitle(figure.metric)
  return `${title === 'Accuracy' ? 'accuracy' : title} ${withInterval(figure)}`
}

/** A number that may change: `4`, `4 → 1 (cosine)`. */
const written = (number: Scheduled): string =>
  typeof number === 'number' ? String(number) : `${number.from} → ${number.to} (${number.shape})`
