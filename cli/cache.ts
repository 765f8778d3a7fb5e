// `condense cache ls|clear`: the finished stages that are kept.
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { formatBytes } from '../benchmarks/report/format.ts'
import { clearCache, defaultCacheFolder, listEntries } from '../pipeline/cache.ts'
import type { Arguments } from './commands.ts'
import { formatDuration } from './duration.ts'
import { exitCodes } from './exit.ts'
import { textOption } from './options.ts'
import { table } from './table.ts'

const actions = { ls: list, clear }

/** Declares the options of `condense cache`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('action', { type: 'string', demandOption: true, describe: 'ls or clear' })
    .option('json', { type: 'boolean', default: false, describe: 'As JSON' })

/** Lists or clears the cache. */
export async function execute(args: Arguments): Promise<number> {
  const action = textOption(args, 'action') ?? ''
  if (!Object.hasOwn(actions, action))
    throw new UserError(
      `condense cache: unknown action: '${action}' — ${suggest(action, Object.keys(actions))}`,
    )
  process.stdout.write(`${actions[action as keyof typeof actions](args.json === true)}\n`)
  return exitCodes.done
}

function list(json: boolean): string {
  const folder = defaultCacheFolder()
  const entries = listEntries(folder)
  if (json) return JSON.stringify({ folder, entries })
  const rows = entries.map(({ key, stage, seconds, sizeBytes, modified }) => [
    key.slice(0, 12),
    stage,
    formatBytes(sizeBytes),
    formatDuration(seconds),
    modified.toISOString().slice(0, 16).replace('T', ' '),
  ])
  const total = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return [
    ...(rows.length > 0 ? [table(['key', 'stage', 'size', 'took', 'finished'], rows)] : []),
    `${folder}: ${entries.length} finished stages, ${formatBytes(total)}`,
  ].join('\n')
}

function clear(json: boolean): string {
  const folder = defaultCacheFolder()
  const { freedBytes, kept } = clearCache(folder)
  if (json) return JSON.stringify({ folder, freedBytes, kept })
  const busy = kept > 0 ? `; ${kept} in use were kept` : ''
  return `${folder}: freed ${formatBytes(freedBytes)}${busy}`
}
