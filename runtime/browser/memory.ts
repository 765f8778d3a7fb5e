// The memory of the browser's processes that a model lives in.
import { readdirSync, readFileSync } from 'node:fs'

/**
 * The largest resident memory of the page that a model of this process lives in, bytes, with that of the browser's GPU
 * process where it works for the page; undefined where the system does not tell (only Linux does).
 */
export function browserPeakBytes(device: 'cpu' | 'gpu'): number | undefined {
  if (process.platform !== 'linux') return undefined
  const parents = new Map<number, number>()
  const peaks: { readonly pid: number; readonly peak: number; readonly kind: string }[] = []
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) continue
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      parents.set(pid, Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]))
      const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      const kind = /--type=(renderer|gpu-process)\b/.exec(command)?.[1]
      if (peak > 0 && kind) peaks.push({ pid, peak, kind })
    } catch {
      // It has just ended.
    }
  }
  const isOurs = (pid: number | undefined): boolean =>
    pid === process.pid || (pid !== undefined && pid > 1 && isOurs(parents.get(pid)))
  // An empty page, which every browser has, is smaller.
  const largest = (kind: string) =>
    peaks
      .filter((one) => one.kind === kind && isOurs(one.pid))
      .reduce((most, { peak }) => Math.max(most, peak), 0)
  const page = largest('renderer')
  if (page === 0) return undefined
  return device === 'gpu' ? page + largest('gpu-process') : page
}
