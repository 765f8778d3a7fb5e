// `condense sensitivity`: what a model loses when one layer alone is pruned or quantized, as a table, JSON and a page with
// plots.
import { join } from 'node:path'
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { makeWritable, writeAtomically } from '../base/files.ts'
import { formatNumber } from '../benchmarks/report/format.ts'
import { formatMetric, metricTitle } from '../benchmarks/report/metrics.ts'
import {
  formatSqnr,
  type QuantizationSensitivityReport,
  rankedRows,
  renderQuantizationSensitivity,
} from '../benchmarks/report/quantization-sensitivity.ts'
import { renderSensitivity, type SensitivityReport } from '../benchmarks/report/sensitivity.ts'
import { quantizationSensitivityOf, sensitivityOf } from '../pipeline/sensitivity.ts'
import type { Arguments, CommandContext } from './commands.ts'
import { exitCodes } from './exit.ts'
import {
  dataOption,
  numberOption,
  providersOption,
  settingDeclarations,
  settingOption,
  textOption,
  yamlOption,
} from './options.ts'
import { table } from './table.ts'
import { openTerminal } from './terminal.ts'

/** Options of pruning that say what is measured. */
const measured = ['structure', 'criterion', 'keep', 'round', 'layers', 'exclude'] as const

/** Options of quantization that say what is measured. */
const quantized = ['scheme', 'quantize', 'exclude'] as const

/** Declares the options of `condense sensitivity`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('model', {
      type: 'string',
      demandOption: true,
      describe: 'An ONNX file, or a recipe, whose teacher is looked at with its data',
    })
    .option('scheme', {
      type: 'string',
      describe:
        'Looks at quantization by this scheme instead of pruning: static, dynamic, float16, …',
    })
    .option('quantize', {
      type: 'string',
      describe: "Further options of quantization, as YAML: '{ weightBits: 7, perChannel: false }'",
    })
    .option('structure', {
      type: 'string',
      describe: 'What goes: channels (unless given), filters, heads, weights, block-4x1, …',
    })
    .option('criterion', {
      type: 'string',
      describe: 'What is unimportant; l1 for channels and magnitude for weights unless given',
    })
    .option('shares', {
      type: 'string',
      describe:
        'Shares of each layer that are measured, as YAML; [0.125, 0.25, … 0.875] unless given',
    })
    .option('keep', { type: 'string', describe: 'Least share of a group that remains' })
    .option('round', { type: 'string', describe: 'Counts that remain are multiples of this' })
    .option('layers', { type: 'string', describe: 'Layers to measure, as YAML; all unless given' })
    .option('exclude', { type: 'string', describe: 'Layers to leave out, as YAML' })
    .option('out', {
      type: 'string',
      alias: 'o',
      describe: 'Folder for sensitivity.json and sensitivity.html, with plots; none unless given',
    })
    .option('data', {
      type: 'string',
      describe: "Data: digits, mnist, …, or '{ format: csv, path: table.csv, target: price }'",
    })
    .options(settingDeclarations)
    .option('seed', {
      type: 'string',
      describe: 'Decides everything that is random; 0 unless given',
    })
    .option('threads', { type: 'string', describe: 'Threads; all cores unless given' })
    .option('provider', { type: 'string', describe: 'Where models run; cpu unless given' })
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'Events as JSON lines, then the result',
    })
    .example('$0 sensitivity model.onnx --data digits -o sensitivity', 'See what can go where')
    .example(
      '$0 sensitivity model.onnx --data digits --scheme static',
      'See which layers quantization hurts',
    )

/** Measures, and prints what was measured. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const json = args.json === true
  const out = textOption(args, 'out')
  if (out !== undefined) makeWritable(out)
  const terminal = openTerminal({ json })
  try {
    const [provider] = providersOption(args, 'provider')
    const common = {
      path: textOption(args, 'model') ?? '',
      data: dataOption(args),
      ...settingOption(args),
      seed: numberOption(args, 'seed', { integer: true, minimum: 0 }) ?? 0,
      threads: numberOption(args, 'threads', { integer: true, minimum: 1 }),
      ...{ provider, signal, onEvent: terminal.listen },
    }
    const { report, page, lines } =
      textOption(args, 'scheme') === undefined
        ? await ofPruning(args, common)
        : await ofQuantization(args, common)
    if (out !== undefined) {
      writeAtomically(join(out, 'sensitivity.json'), `${JSON.stringify(report, null, 2)}\n`)
      writeAtomically(join(out, 'sensitivity.html'), page)
    }
    terminal.close()
    const files = out === undefined ? '' : `\n${join(out, 'sensitivity.html')}\n`
    process.stdout.write(
      json ? `${JSON.stringify({ event: 'sensitivity', ...report })}\n` : `${lines}${files}`,
    )
    return exitCodes.done
  } finally {
    terminal.close()
  }
}

type Common = Omit<Parameters<typeof sensitivityOf>[0], 'options' | 'shares'>

/** What was measured, as a page and as text for the terminal. */
interface Shown {
  readonly report: object
  readonly page: string
  readonly lines: string
}

async function ofPruning(args: Arguments, common: Common): Promise<Shown> {
  refuse(args, ['quantize'], 'goes with --scheme')
  const options = givenOf(args, measured)
  const report = await sensitivityOf({ ...common, options, shares: sharesOption(args) })
  return { report, page: renderSensitivity(report), lines: text(report) }
}

async function ofQuantization(args: Arguments, common: Common): Promise<Shown> {
  refuse(
    args,
    ['shares', ...measured.filter((name) => name !== 'exclude')],
    'is about pruning, --scheme about quantization',
  )
  const { quantize = {}, ...given } = givenOf(args, quantized)
  if (quantize === null || typeof quantize !== 'object')
    throw new UserError(
      `--quantize: no options: '${textOption(args, 'quantize')}' — write them as '{ weightBits: 7 }'`,
    )
  const report = await quantizationSensitivityOf({ ...common, options: { ...quantize, ...given } })
  return {
    report,
    page: renderQuantizationSensitivity(report),
    lines: textOfQuantization(report),
  }
}

function refuse(args: Arguments, names: readonly string[], why: string): void {
  for (const name of names)
    if (textOption(args, name) !== undefined)
      throw new UserError(`--${name}: ${why} — leave one of them out`)
}

/** The options of a stage that were given. */
const givenOf = (args: Arguments, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(
    names.flatMap((name) => {
      const given = textOption(args, name)
      return given === undefined ? [] : [[name, yamlOption(name, given)] as const]
    }),
  )

/** What is no list of shares is refused where it is read. */
function sharesOption(args: Arguments): number[] | undefined {
  const given = textOption(args, 'shares')
  return given === undefined ? undefined : (yamlOption('shares', given) as number[])
}

function text(report: SensitivityReport): string {
  const { metric, score, samples, split, rows } = report
  const lines = rows.flatMap(({ name, size, points }) =>
    points.map(({ gone, score: left, divergence }) => [
      name,
      `${gone} of ${size}`,
      formatMetric(metric, left),
      divergence === null ? '–' : formatNumber(divergence),
    ]),
  )
  const head = `${metricTitle(metric)} ${formatMetric(metric, score)} with nothing gone, on ${samples} ${split} samples`
  const body = table(['layer', 'gone', metricTitle(metric).toLowerCase(), 'divergence'], lines)
  return `${head}\n\n${body}\n`
}

function textOfQuantization(report: QuantizationSensitivityReport): string {
  const { metric, score, samples, split, whole, scheme } = report
  const nats = (value: number | null) => (value === null ? '–' : formatNumber(value))
  const figure = (value: number | null) => (value === null ? '–' : formatMetric(metric, value))
  const title = metricTitle(metric)
  const lines = rankedRows(report).map(({ name, alone, off }) => [
    name,
    ...[alone, off].flatMap((each) => [
      formatSqnr(each.sqnrDb),
      nats(each.divergence),
      figure(each.score),
    ]),
  ])
  const head = `${title} ${figure(score)} in float, ${figure(whole.score)} with everything ${scheme} (SQNR ${formatSqnr(whole.sqnrDb)} dB), on ${samples} ${split} samples`
  const of = ['dB', 'divergence', title.toLowerCase()]
  const columns = [
    'layer',
    ...of.map((each) => `alone: ${each}`),
    ...of.map((each) => `without: ${each}`),
  ]
  return `${head}\n\n${table(columns, lines)}\n`
}
