// The memory of the browser's processes that a model lives in.
import { readdirSync, readFileSync } from 'node:fs'

/**
 * The largest resident memory of the pages of this process's browsers, and of their GPU processes, bytes; undefined
 * where the system does not tell (only Linux does).
 */
export function browserPeakBytes(): number | undefined {
  if (process.platform !== 'linux') return undefined
  const parents = new Map<number, number>()
  const peaks = new Map<number, number>()
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) continue
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      parents.set(pid, Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]))
      const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      if (peak > 0 && /--type=(renderer|gpu-process)\b/.test(command)) peaks.set(pid, peak)
    } catch {
      // It has just ended.
    }
  }
  const isOurs = (pid: number | undefined): boolean =>
    pid === process.pid || (pid !== undefined && pid > 1 && isOurs(parents.get(pid)))
  const own = [...peaks].filter(([pid]) => isOurs(pid))
  return own.length > 0 ? own.reduce((sum, [, peak]) => sum + peak, 0) : undefined
}
