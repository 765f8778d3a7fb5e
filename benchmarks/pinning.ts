// Keeping measuring processes on one processor core, so that their times do not hang on where they are moved to.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Processes that are kept on a core until they are released. */
export interface Pinned {
  readonly core: number
  release(): Promise<void>
}

/**
 * Keeps these processes, with all of their threads, on one core: the quickest that may be used, the last among equals, for
 * interrupts gather at the first.
 *
 * Undefined where that cannot be done: it needs Linux, `taskset`, and more than one core.
 */
export async function pin(pids: readonly number[]): Promise<Pinned | undefined> {
  const allowed = allowedCores()
  if (allowed.length < 2 || pids.length === 0) return undefined
  const speeds = allowed.map(speedOf)
  const core = allowed[speeds.lastIndexOf(Math.max(...speeds))]!
  const move = (to: readonly number[]) =>
    Promise.all(pids.map((pid) => run('taskset', ['-a', '-c', '-p', to.join(), String(pid)])))
  const release = async () => {
    await move(allowed).catch(() => undefined) // a process that is gone needs no release
  }
  try {
    await move([core])
    // taskset is silent about a process whose threads it does not find.
    const isKept = (pid: number) => allowedCores(`/proc/${pid}/status`).join() === String(core)
    if (pids.every(isKept)) return { core, release }
    await release()
    return undefined
  } catch {
    await release()
    return undefined
  }
}

/** The cores that this process may use; none where the system does not tell. */
export function allowedCores(file = '/proc/self/status'): number[] {
  try {
    const list = readFileSync(file, 'utf8').match(/^Cpus_allowed_list:\s*([\d,-]+)$/m)?.[1] ?? ''
    return list.split(',').flatMap((part) => {
      const [first, last = first] = part.split('-').map(Number)
      return Array.from({ length: last! - first! + 1 }, (_, at) => first! + at)
    })
  } catch {
    return [] // only Linux has this file
  }
}

/** How quick a core is among others of the machine; 0 for all where the system does not tell. */
function speedOf(core: number): number {
  const folder = `/sys/devices/system/cpu/cpu${core}`
  for (const name of ['cpu_capacity', 'cpufreq/cpuinfo_max_freq'])
    try {
      return Number(readFileSync(`${folder}/${name}`, 'utf8')) || 0
    } catch {
      // The first is of ARM processors, the second is missing in virtual machines.
    }
  return 0
}
