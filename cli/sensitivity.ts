// `condense sensitivity`: what a model loses when one layer alone is pruned, as a table, JSON and a page with plots.
import { join } from 'node:path'
import type { Argv } from 'yargs'
import { makeWritable, writeAtomically } from '../base/files.ts'
import { formatNumber } from '../benchmarks/report/format.ts'
import { formatMetric, metricTitle } from '../benchmarks/report/metrics.ts'
import { renderSensitivity, type SensitivityReport } from '../benchmarks/report/sensitivity.ts'
import { sensitivityOf } from '../pipeline/sensitivity.ts'
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

/** Declares the options of `condense sensitivity`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('model', {
      type: 'string',
      demandOption: true,
      describe: 'An ONNX file, or a recipe, whose teacher is looked at with its data',
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

/** Measures, and prints what was measured. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const json = args.json === true
  const out = textOption(args, 'out')
  if (out !== undefined) makeWritable(out)
  const terminal = openTerminal({ json })
  try {
    const [provider] = providersOption(args, 'provider')
    const report = await sensitivityOf({
      path: textOption(args, 'model') ?? '',
      options: Object.fromEntries(
        measured.flatMap((name) => {
          const text = textOption(args, name)
          return text === undefined ? [] : [[name, yamlOption(name, text)] as const]
        }),
      ),
      shares: sharesOption(args),
      data: dataOption(args),
      ...settingOption(args),
      seed: numberOption(args, 'seed', { integer: true, minimum: 0 }) ?? 0,
      threads: numberOption(args, 'threads', { integer: true, minimum: 1 }),
      provider,
      signal,
      onEvent: terminal.listen,
    })
    if (out !== undefined) {
      writeAtomically(join(out, 'sensitivity.json'), `${JSON.stringify(report, null, 2)}\n`)
      writeAtomically(join(out, 'sensitivity.html'), renderSensitivity(report))
    }
    terminal.close()
    process.stdout.write(
      json ? `${JSON.stringify({ event: 'sensitivity', ...report })}\n` : text(report, out),
    )
    return exitCodes.done
  } finally {
    terminal.close()
  }
}

/** What is no list of shares is refused where it is read. */
function sharesOption(args: Arguments): number[] | undefined {
  const given = textOption(args, 'shares')
  return given === undefined ? undefined : (yamlOption('shares', given) as number[])
}

function text(report: SensitivityReport, out: string | undefined): string {
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
  const files = out === undefined ? '' : `\n${join(out, 'sensitivity.html')}\n`
  return `${head}\n\n${body}\n${files}`
}
