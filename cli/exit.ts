// Exit codes, and the last words of a command that failed.
import { Interrupted, messageOf, UserError } from '../base/errors.ts'

/** What the exit codes mean. */
export const exitCodes = {
  done: 0,
  /** A bug in Condense. */
  bug: 1,
  /** Something that the user can fix. */
  user: 2,
  /** A gate, or a variant, failed. */
  gate: 3,
  interrupted: 130,
} as const

/** The exit code for what a command threw. */
export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof Interrupted) return exitCodes.interrupted
  return thrown instanceof UserError ? exitCodes.user : exitCodes.bug
}

/** Says on stderr what went wrong: one line, or for a bug the stack. */
export function tell(thrown: unknown, code: number): void {
  if (code === exitCodes.interrupted) {
    process.stderr.write('interrupted: run the same command again to go on\n')
    return
  }
  if (code === exitCodes.user) {
    process.stderr.write(`${messageOf(thrown).replace(/\s*\n\s*/g, ' ')}\n`)
    return
  }
  process.stderr.write(`a bug in Condense: ${messageOf(thrown)}\n`)
  for (let error = thrown; error instanceof Error; error = error.cause)
    process.stderr.write(`${error.stack ?? error.message}\n`)
}
