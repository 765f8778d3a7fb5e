// `condense run`: a recipe from beginning to end, or with --dry-run what it would do.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { adviceLines } from '../benchmarks/report/advice.ts'
import { formatBytes, formatMs, formatPercent, formatRatio } from '../benchmarks/report/format.ts'
import { formatMetric, mainFigure, mainMetric, metricTitle } from '../benchmarks/report/metrics.ts'
import type { Report, Variant } from '../benchmarks/report/report.ts'
import type { RunEvent } from '../pipeline/events.ts'
import { hasPassed } from '../pipeline/gates.ts'
import { type Plan, planRun } from '../pipeline/plan.ts'
import type { RunOptions } from '../pipeline/prepare.ts'
import { run } from '../pipeline/run.ts'
import type { Arguments, CommandContext } from './commands.ts'
import { formatDuration } from './duration.ts'
import { exitCodes } from './exit.ts'
import { numberOption, textOption, textsOption } from './options.ts'
import { paint } from './paint.ts'
import {
  failureText,
  openServed,
  portOption,
  serveDeclaration,
  untilInterrupted,
} from './serve/option.ts'
import type { Served } from './serve/serve.ts'
import { table } from './table.ts'
import { openTerminal } from './terminal.ts'

const defaultRecipe = 'recipe.yaml'

/** Declares the options of `condense run`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('recipe', {
      type: 'string',
      default: defaultRecipe,
      describe: 'A recipe, YAML or JSON',
    })
    .option('set', {
      type: 'string',
      array: true,
      nargs: 1,
      describe:
        'Override an option of the recipe: stages.2.calibration.method=entropy; null takes it away',
    })
    .option('profile', {
      type: 'string',
      describe: "Apply the recipe's profile of this name first, as quick",
    })
    .option('dry-run', {
      type: 'boolean',
      default: false,
      describe: 'Check everything and show the steps, with expected time and disk; run nothing',
    })
    .option('threads', { type: 'string', describe: 'Threads for training; all cores unless given' })
    .option('out', {
      type: 'string',
      alias: 'o',
      describe: 'Folder of the run; runs/<name> unless given',
    })
    .option('serve', serveDeclaration)
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'Events as JSON lines, then the report; with --dry-run the plan alone',
    })
    .example('$0 run recipes/digits.yaml', 'Run a recipe')
    .example('$0 run recipes/fsdd.yaml --profile quick', 'Run it smaller, in a minute or two')
    .example('$0 run recipes/digits.yaml --serve', 'Watch its report come about in a browser')
    .example('$0 run recipes/digits.yaml --dry-run', 'See what it would do')

/** Runs the recipe; 3 where a gate or a variant failed. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const port = portOption(args)
  if (port !== undefined && args.dryRun === true)
    throw new UserError('--serve: --dry-run runs nothing — leave one of them out')
  const recipe = textOption(args, 'recipe') ?? defaultRecipe
  if (recipe === defaultRecipe && !existsSync(recipe))
    throw new UserError(
      `condense run: there is no ${defaultRecipe} here — name a recipe, or write one with 'condense init'`,
    )
  const json = args.json === true
  // A plan is one JSON value, which no event may stand before.
  const terminal = openTerminal({ json: json && args.dryRun !== true })
  let folder = ''
  let served: Served | undefined
  const options: RunOptions = {
    profile: textOption(args, 'profile'),
    set: textsOption(args, 'set'),
    threads: numberOption(args, 'threads', { integer: true, minimum: 1 }),
    outFolder: textOption(args, 'out'),
    signal,
    onEvent(event: RunEvent) {
      if (event.event === 'run-start') folder = event.folder
      terminal.listen(event)
      served?.listen(event)
    },
  }
  try {
    if (args.dryRun === true) {
      const plan = await planRun(recipe, options)
      process.stdout.write(json ? `${JSON.stringify(plan)}\n` : planText(plan))
      return exitCodes.done
    }
    served = port === undefined ? undefined : await openServed({ name: recipe, port, terminal })
    const report = await run(recipe, { ...options, onPartial: served?.partial })
    await served?.done(readFileSync(join(folder, 'report.html'), 'utf8'))
    terminal.close()
    process.stdout.write(
      json ? `${JSON.stringify({ event: 'report', report })}\n` : reportText(report, folder),
    )
    if (served && !json) await untilInterrupted(served, signal)
    return hasPassed(report) ? exitCodes.done : exitCodes.gate
  } catch (thrown) {
    await served?.failed(failureText(thrown, signal))
    throw thrown
  } finally {
    terminal.close()
    await served?.close()
  }
}

function planText({ steps, seconds, diskBytes, folder, basis }: Plan): string {
  const rows = steps.map((step) => [
    step.id,
    step.stage,
    step.from,
    step.cached ? 'cached' : `~ ${formatDuration(step.seconds)}`,
    `≤ ${formatBytes(step.sizeBytes)}`,
  ])
  return [
    table(['step', 'stage', 'from', 'time', 'size'], rows),
    `time with benchmark: about ${formatDuration(seconds)} (${basis})`,
    `disk: at most ${formatBytes(diskBytes)}`,
    `the run would go to ${folder}`,
    '',
  ].join('\n')
}

/** The result in a few lines: each variant against the teacher, the gates, and where the report is. */
function reportText({ teacher, variants, gates, advice }: Report, folder: string): string {
  const rows = [teacher, ...variants].map((variant) => rowOf(variant, teacher))
  const judged = gates.map(({ name, variant, limit, value, passed }) => {
    const verdict = passed ? paint('✓', 'green') : paint('✗', 'red')
    const measured = value === null ? 'not measured' : value.toFixed(4)
    return `${verdict} ${variant}: ${name} ${measured}, limit ${limit}`
  })
  const lost = variants.flatMap(({ id, failed: why }) =>
    why === undefined ? [] : [`${paint('✗', 'red')} ${id}: failed: ${why}`],
  )
  return [
    table(
      [
        'variant',
        metricTitle(mainMetric({ teacher, variants })).toLowerCase(),
        'retention',
        'size',
        '',
        'CPU, batch 1',
        '',
      ],
      rows,
    ),
    ...lost,
    ...judged,
    ...adviceLines({ variants, advice }).map((line) => `advice: ${line}`),
    `report: ${join(folder, 'report.html')}`,
    '',
  ].join('\n')
}

function formatMain(accuracy: NonNullable<Variant['accuracy']>): string {
  const { metric, value } = mainFigure(accuracy)
  return formatMetric(metric, value)
}

function rowOf(variant: Variant, teacher: Variant): string[] {
  const { id, accuracy, retention, sizeBytes, providers } = variant
  const cpu = providers.cpu
  const isTeacher = variant === teacher
  return [
    id,
    accuracy ? formatMain(accuracy) : 'failed',
    isTeacher || !retention ? '' : formatPercent(retention.accuracy),
    formatBytes(sizeBytes),
    isTeacher ? '' : formatRatio(sizeBytes / teacher.sizeBytes),
    typeof cpu?.p50Ms === 'number' ? formatMs(cpu.p50Ms) : '',
    isTeacher || !cpu?.latencyRatio ? '' : formatRatio(cpu.latencyRatio.value),
  ]
}
