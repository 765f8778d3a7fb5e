// The parent's side of a measuring process: one model on one provider. Whatever happens in there (a crash, a hang,
// no memory left) comes back as a reason, and costs that cell of the table alone.
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Interrupted } from '../base/errors.ts'
import { removeLeftFolders } from '../runtime/browser/folder.ts'
import { gpuEnvironment } from '../runtime/webgpu.ts'
import type { AnswerMessage, CommandMessage, CommandName, ReplyOf, RequestOf } from './protocol.ts'

/** Why a cell of the table has no number. */
export class CellFailure extends Error {
  override readonly name = 'CellFailure'
  /** True where the user can mend it, as with a model that does not fit the data. */
  readonly user: boolean

  constructor(message: string, { user = false }: { user?: boolean } = {}) {
    super(message)
    this.user = user
  }
}

/** A measuring process. */
export interface CellProcess {
  readonly pid: number | undefined
  /** Sends a command and waits for its answer; a {@link CellFailure} says why there is none. */
  ask<Name extends CommandName>(command: Name, request: RequestOf<Name>): Promise<ReplyOf<Name>>
  /** Ends the process. */
  close(): Promise<void>
}

/** A process that does not end by itself for so long is killed. */
const patienceMs = 2000

/** Who waits for an answer. */
interface Waiting {
  resolve(reply: unknown): void
  reject(reason: Error): void
}

/** The compiled entry of a measuring process: Node runs no TypeScript, so sources too use what `dist` has. */
function entry(): string {
  const own = fileURLToPath(import.meta.url)
  const folder = extname(own) === '.ts' ? resolve(dirname(own), '../dist/benchmarks') : dirname(own)
  const path = join(folder, 'cell.js')
  if (!existsSync(path))
    throw new Error(`${path} is missing: measuring processes run from dist — run 'npm run build'`)
  return path
}

/**
 * Starts a measuring process.
 *
 * A process that says nothing for `silenceMs` while it owes an answer is killed; so is every process when `signal`
 * is aborted, and open commands then end with {@link Interrupted}.
 */
export function startCell({
  silenceMs = 120_000,
  signal,
}: {
  readonly silenceMs?: number
  readonly signal?: AbortSignal | undefined
} = {}): CellProcess {
  const child = fork(entry(), [], {
    execArgv: [],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: gpuEnvironment(),
  })
  const waiting = new Map<number, Waiting>()
  let said = ''
  let ended: Error | undefined
  let silence: NodeJS.Timeout | undefined
  let count = 0

  const listen = () => {
    clearTimeout(silence)
    if (waiting.size > 0)
      silence = setTimeout(() => {
        end(new CellFailure(`it gave no answer for ${silenceMs / 1000} s`))
      }, silenceMs)
  }
  const fail = (reason: Error) => {
    ended ??= reason
    clearTimeout(silence)
    signal?.removeEventListener('abort', abort)
    for (const { reject } of waiting.values()) reject(ended)
    waiting.clear()
  }
  const end = (reason: Error) => {
    fail(reason)
    child.kill('SIGKILL')
  }
  const abort = () => end(new Interrupted())
  const gone = new Promise<void>((resolve) => {
    child.once('close', (code, exitSignal) => {
      end(new CellFailure(explainEnd(code, exitSignal, said)))
      // Its browser ended with it, but could not tidy up.
      resolve(removeLeftFolders(child.pid))
    })
    child.once('error', (error) => {
      end(new CellFailure(`its process failed: ${error.message}`))
      if (child.pid === undefined) resolve()
    })
  })
  child.stderr?.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-8192)
  })
  child.on('message', (message) => {
    const answer = message as AnswerMessage // the channel carries nothing else
    if ('id' in answer) {
      const waiter = waiting.get(answer.id)
      waiting.delete(answer.id)
      if ('error' in answer) waiter?.reject(new CellFailure(answer.error.message, answer.error))
      else waiter?.resolve(answer.reply)
    }
    listen()
  })
  if (signal?.aborted) abort()
  else signal?.addEventListener('abort', abort)

  return {
    pid: child.pid,
    async ask<Name extends CommandName>(command: Name, request: RequestOf<Name>) {
      if (ended) throw ended
      const id = count++
      const answer = await new Promise<unknown>((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        listen()
        send(child, { id, command, request })
      })
      return answer as ReplyOf<Name> // the process answers what the protocol says
    },
    close() {
      fail(new CellFailure('it was closed'))
      // It ends, and its browser with it; one that is busy does not notice.
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), patienceMs)
      return gone.finally(() => clearTimeout(late))
    },
  }
}

function send(child: ChildProcess, message: CommandMessage): void {
  // A channel that is closed shows in the exit of the process, which has the better reason.
  child.send(message, () => undefined)
}

/** Why a process ended, from how it ended and what it had said on stderr. */
export function explainEnd(code: number | null, signal: string | null, said: string): string {
  if (/out of memory|bad_alloc/i.test(said)) return 'its process ran out of memory'
  if (signal === 'SIGKILL')
    return 'its process was killed (SIGKILL), most likely for want of memory'
  const error = errorIn(said)
  const how = signal === null ? `ended with exit code ${code}` : `crashed (${signal})`
  return `its process ${how}${error ? `: ${error}` : ''}`
}

/** The line of an error, as `TypeError: …`, `Error [ERR_X]: …`, or what a C++ program writes as it aborts. */
const errorLine = /^((Uncaught )?[A-Za-z]*(Error|Exception)\b|\s*what\(\):|FATAL)/
/** What stands around an uncaught error: source, frames and fields, which are indented, and Node's version. */
const aroundErrors = /^(\s|Node\.js v\d|[}\]]|---|\d+: |(file|node):.*:\d+$)/

/** The line of stderr that tells what went wrong. */
function errorIn(said: string): string | undefined {
  const lines = said.split(/\r?\n/).filter((line) => line.trim() !== '')
  const line =
    lines.findLast((text) => errorLine.test(text)) ??
    lines.findLast((text) => !aroundErrors.test(text))
  return line
    ?.trim()
    .replace(/^(Error|what\(\)):\s*/, '')
    .slice(0, 200)
}
