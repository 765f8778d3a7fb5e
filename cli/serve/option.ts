// `--serve`: what commands that measure have in common where their page is served.
import { once } from 'node:events'
import { messageOf, UserError } from '../../base/errors.ts'
import type { Arguments } from '../commands.ts'
import { textOption } from '../options.ts'
import type { Terminal } from '../terminal.ts'
import type { Served } from './serve.ts'

/** Declares the option that {@link portOption} reads. */
export const serveDeclaration = {
  type: 'string',
  describe: 'Serve the report while it comes about, on 127.0.0.1, at this port or a free one',
} as const

/** The port of `--serve`, 0 for one that is free; undefined where the option was not given. */
export function portOption(args: Arguments): number | undefined {
  const text = textOption(args, 'serve')
  if (text === undefined) return undefined
  const port = Number(text)
  if (/^\d*$/.test(text) && port <= 65535) return port
  throw new UserError(
    `--serve: expected a port, 0 to 65535: '${text}' — correct it, or put what it is before --serve`,
  )
}

/** Serves the page of a run and says where. */
export async function openServed({
  name,
  port,
  terminal: { listen },
}: {
  readonly name: string
  readonly port: number
  readonly terminal: Terminal
}): Promise<Served> {
  const log = (message: string) => listen({ event: 'log', message })
  // Plots and pages take a third of a second to load.
  const { serve } = await import('./serve.ts')
  const served = await serve({ name, port, log })
  log(`watch the report at ${served.url}`)
  return served
}

/** What a page says of a run that ended early. */
export const failureText = (thrown: unknown, signal: AbortSignal): string =>
  signal.aborted ? 'The run was interrupted.' : `The run failed: ${messageOf(thrown)}`

/** Keeps the page up until Ctrl-C where somebody sits at a terminal; elsewhere it ends with the run. */
export async function untilInterrupted({ url }: Served, signal: AbortSignal): Promise<void> {
  if (!process.stderr.isTTY || signal.aborted) return
  process.stderr.write(`the report stays at ${url} until Ctrl-C\n`)
  await once(signal, 'abort')
}
