// Locks between processes: a file that says who holds it. A holder that died, or has not said for long that it is
// alive, holds nothing.
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { Interrupted } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'

/** Who holds a lock. */
interface Holder {
  readonly process: number
  readonly host: string
  readonly token: string
}

const heartbeatMs = 60_000
const silentTooLongMs = 10 * heartbeatMs
const pollMs = 200

/** A lock that is held, until it is released. */
export interface Lock {
  release(): void
}

/** Takes a lock if nobody holds it, and otherwise says which process does. The folder must exist. */
export function tryLock(path: string): Lock | { readonly heldBy: number } {
  const holder: Holder = {
    process: process.pid,
    host: hostname(),
    token: randomBytes(8).toString('hex'),
  }
  if (!create(path, holder)) {
    const other = readHolder(path)
    if (other && isAlive(other, path)) return { heldBy: other.process }
    rmSync(path, { force: true })
    if (!create(path, holder)) return { heldBy: readHolder(path)?.process ?? 0 }
  }
  const heartbeat = setInterval(() => touch(path), heartbeatMs)
  heartbeat.unref()
  return {
    release() {
      clearInterval(heartbeat)
      // Whoever took the lock over after a long silence keeps it.
      if (readHolder(path)?.token === holder.token) rmSync(path, { force: true })
    },
  }
}

/** Waits for a lock, uses it, and releases it whatever happens; `onWait` is told once whom it waits for. */
export async function withLock<Result>(
  path: string,
  options: { readonly signal?: AbortSignal | undefined; onWait(heldBy: number): void },
  use: () => Promise<Result>,
): Promise<Result> {
  const lock = await waitFor(path, options)
  try {
    return await use()
  } finally {
    lock.release()
  }
}

async function waitFor(
  path: string,
  { signal, onWait }: { readonly signal?: AbortSignal | undefined; onWait(heldBy: number): void },
): Promise<Lock> {
  for (let told = false; ; told = true) {
    if (signal?.aborted) throw new Interrupted()
    const lock = tryLock(path)
    if ('release' in lock) return lock
    if (!told) onWait(lock.heldBy)
    await sleep(pollMs)
  }
}

/** Whether a lock is held by a process that lives. */
export function isLocked(path: string): boolean {
  const holder = readHolder(path)
  return holder !== undefined && isAlive(holder, path)
}

function create(path: string, holder: Holder): boolean {
  try {
    writeFileSync(path, JSON.stringify(holder), { flag: 'wx' })
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    rmSync(path, { force: true })
    throw explainFileError(path, thrown)
  }
}

/** What the file says; a file that is gone, or was written only in part, has no holder. */
function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder
  } catch {
    return undefined
  }
}

function isAlive({ process: id, host }: Holder, path: string): boolean {
  try {
    if (Date.now() - statSync(path).mtimeMs > silentTooLongMs) return false
    // Signal 0 only asks whether the process is there.
    if (host === hostname()) process.kill(id, 0)
    return true
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function touch(path: string): void {
  const now = new Date()
  try {
    utimesSync(path, now, now)
  } catch {
    // The folder was removed from under the run; releasing copes with that too.
  }
}
