// The one error class for what a user can fix. Everything else that is thrown is a bug in Condense.

/**
 * An error that the user can fix; the command line prints its message alone and exits with 2.
 *
 * The message has the form `where: what is wrong: the value — what to do`, one line, no full stop.
 */
export class UserError extends Error {
  override readonly name = 'UserError'
}

/** Thrown when a run was cancelled through its `signal`; the command line exits with 130. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  constructor(message = 'interrupted') {
    super(message)
  }
}

/** Throws {@link Interrupted} when the signal was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new Interrupted()
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
