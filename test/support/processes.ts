// Looking at processes, on Linux.
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** A process, as far as tests ask. */
export interface ProcessInfo {
  readonly pid: number
  readonly command: string
}

/** The processes that came from this one, directly or not. */
export function descendants(ancestor: number): ProcessInfo[] {
  const parents = new Map<number, number>()
  const commands = new Map<number, string>()
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      const status = readFileSync(`/proc/${entry}/status`, 'utf8')
      parents.set(Number(entry), Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]))
      commands.set(Number(entry), readFileSync(`/proc/${entry}/cmdline`, 'utf8'))
    } catch {
      // It has just ended.
    }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid)
    return parent === ancestor || (parent !== undefined && parent > 1 && isBelow(parent))
  }
  return [...commands]
    .filter(([pid]) => isBelow(pid))
    .map(([pid, command]) => ({ pid, command: command.replaceAll('\0', ' ') }))
}

/** Whether a process runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits until none of these processes runs, ten seconds at most: those that still do. */
export async function survivors(pids: readonly number[]): Promise<number[]> {
  for (let wait = 0; wait < 100 && pids.some(isAlive); wait++) await setTimeout(100)
  return pids.filter(isAlive)
}
export const threadNames = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/task`).map((task) =>
    readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim(),
  )
