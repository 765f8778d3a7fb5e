// `condense nightly`: many recipes, compared with the nights before.
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { formatBytes, formatProbability } from '../benchmarks/report/format.ts'
import { counted } from '../benchmarks/report/judge.ts'
import { measureOf } from '../pipeline/nightly/measures.ts'
import { isFlagged, isRegression, type RecipeNight } from '../pipeline/nightly/night.ts'
import {
  acceptNight,
  type NightlyPlan,
  type NightlyResult,
  planNightly,
  runNightly,
} from '../pipeline/nightly/nightly.ts'
import { outcomeOf, titleOf } from '../pipeline/nightly/page.ts'
import type { Arguments, CommandContext } from './commands.ts'
import { formatDuration } from './duration.ts'
import { exitCodes } from './exit.ts'
import { numberOption, textOption } from './options.ts'
import { paint } from './paint.ts'
import { table } from './table.ts'
import { openTerminal } from './terminal.ts'

/** Declares the options of `condense nightly`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('suite', {
      type: 'string',
      demandOption: true,
      describe: 'A suite, YAML or JSON',
    })
    .option('accept', {
      type: 'string',
      describe: 'Run nothing; make what the last night flagged the new baseline, for this reason',
    })
    .option('dry-run', {
      type: 'boolean',
      default: false,
      describe: 'Check the suite, its recipes and its history; run nothing',
    })
    .option('threads', { type: 'string', describe: 'Threads for training; all cores unless given' })
    .option('out', {
      type: 'string',
      alias: 'o',
      describe: "Folder of the trend page; the suite's folder unless given",
    })
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'Events as JSON lines, then the night',
    })
    .example('$0 nightly suite.yaml', 'Run a night; ends with 3 on a regression')
    .example("$0 nightly suite.yaml --accept 'smaller student'", 'Accept what changed')

/** Runs a night; 3 where something is worse than in the nights before, or failed. */
export async function execute(args: Arguments, { signal }: CommandContext): Promise<number> {
  const suite = textOption(args, 'suite') ?? ''
  const outFolder = textOption(args, 'out')
  const json = args.json === true
  const reason = textOption(args, 'accept')
  if (reason !== undefined) {
    if (args.dryRun === true)
      throw new UserError('--accept: runs nothing anyway — leave --dry-run out')
    const accepted = await acceptNight(suite, reason, outFolder)
    process.stdout.write(json ? resultJson(accepted) : resultText(accepted))
    return exitCodes.done
  }
  const threads = numberOption(args, 'threads', { integer: true, minimum: 1 })
  if (args.dryRun === true) {
    const plan = await planNightly(suite, { signal, threads })
    process.stdout.write(json ? `${JSON.stringify(plan)}\n` : planText(plan))
    const broken = plan.recipes.find(({ plan: one }) => 'failed' in one)
    if (broken && 'failed' in broken.plan)
      throw new UserError(`${suite}: ${broken.id} cannot run: ${broken.plan.failed}`)
    return exitCodes.done
  }
  const terminal = openTerminal({ json })
  try {
    const result = await runNightly(suite, {
      ...{ signal, threads, outFolder },
      onRecipe: (recipe, place, count) => terminal.begin(`recipe ${place} of ${count}: ${recipe}`),
      onEvent: (_recipe, event) => terminal.listen(event),
    })
    terminal.close()
    process.stdout.write(json ? resultJson(result) : resultText(result))
    return result.night.recipes.some(isRegression) ? exitCodes.gate : exitCodes.done
  } finally {
    terminal.close()
  }
}

const resultJson = ({ night }: NightlyResult): string =>
  `${JSON.stringify({ event: 'night', night })}\n`

function planText({ recipes, nights, history }: NightlyPlan): string {
  const rows = recipes.map(({ id, plan }) =>
    'failed' in plan
      ? [id, 'cannot run', plan.failed]
      : [id, `~ ${formatDuration(plan.seconds)}`, `≤ ${formatBytes(plan.diskBytes)}`],
  )
  return [
    table(['recipe', 'time', 'disk'], rows),
    nights === 0
      ? `history: begins in ${history}`
      : `history: ${counted(nights, 'night')} in ${history}`,
    '',
  ].join('\n')
}

function resultText({ night, page }: NightlyResult): string {
  return [
    ...night.recipes.flatMap(recipeLines),
    ...night.notes.map((note) => `note: ${note}`),
    outcomeOf(night),
    `trend: ${page}`,
    '',
  ].join('\n')
}

/** A line for whatever is flagged. */
function recipeLines({ id, failed, gates, missing, figures }: RecipeNight): string[] {
  const bad = paint('✗', 'red')
  return [
    ...(failed === undefined ? [] : [`${bad} ${id}: failed: ${failed}`]),
    ...gates.map((gate) => `${bad} ${id}: ${gate}`),
    ...missing.map((series) => `${bad} ${id}: ${titleOf(series)}: missing`),
    ...figures.filter(isFlagged).map((figure) => {
      const { measure, value, expected = value, status, p } = figure
      const { format } = measureOf(measure)
      const sign = status === 'worse' ? bad : '!'
      const chance = p === undefined ? '' : `, p ${formatProbability(p)}`
      return `${sign} ${id}: ${titleOf(figure)}: ${status}: ${format(value)}, expected ${format(expected)}${chance}`
    }),
  ]
}
