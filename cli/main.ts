#!/usr/bin/env node
// The entry of `condense`: parses the command line, runs the command, and turns what happened into an exit code.
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { packageVersion } from '../pipeline/version.ts'
import { commands } from './commands.ts'
import { exitCodeOf, exitCodes, tell } from './exit.ts'

const interruption = new AbortController()

async function main(): Promise<number> {
  let exitCode = 0
  const parser = yargs(hideBin(process.argv))
    .scriptName('condense')
    .usage(
      '$0 <command>\n\nMakes ONNX models smaller and faster, and measures what is left of them.',
    )
    .parserConfiguration({ 'dot-notation': false, 'camel-case-expansion': true })
    .locale('en')
    .strict()
    .demandCommand(1, 'no command was given')
    .version(packageVersion())
    .alias({ help: 'h', version: 'v' })
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .fail((message: string | null, error: Error | undefined) => {
      throw error?.name === 'YError' || !error ? usageError(message ?? error?.message ?? '') : error
    })
  for (const { usage, summary, load } of commands)
    parser.command(
      usage,
      summary,
      async (builder) => (await load()).build(builder),
      async (args) => {
        exitCode = await (await load()).execute(args, { signal: interruption.signal })
      },
    )
  await parser.parseAsync()
  return exitCode
}

/** What the parser says, in one line; a command that is not known gets a suggestion. */
function usageError(message: string): UserError {
  const [named] = hideBin(process.argv).filter((argument) => !argument.startsWith('-'))
  const names = commands.map(({ usage }) => usage.split(' ')[0] ?? usage)
  if (named !== undefined && !names.includes(named))
    return new UserError(`condense: unknown command: '${named}' — ${suggest(named, names)}`)
  const line = message
    .trim()
    .split(/\s*\n\s*/)
    .join(': ')
  return new UserError(`condense: ${line} — see 'condense ${named ? `${named} ` : ''}--help'`)
}

/** The first Ctrl-C lets the command end in order, the second ends it at once. */
function interrupt(): void {
  if (interruption.signal.aborted) process.exit(exitCodes.interrupted)
  interruption.abort()
}

process.on('SIGINT', interrupt)
process.on('SIGTERM', interrupt)
// A reader that has seen enough (`| head`) is no reason for a stack.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

try {
  process.exitCode = await main()
} catch (thrown) {
  const code = interruption.signal.aborted ? exitCodes.interrupted : exitCodeOf(thrown)
  tell(thrown, code)
  process.exitCode = code
}
