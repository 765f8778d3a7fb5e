// What running a model costs in energy, from the counters of the processor's packages (RAPL) that Linux shows as files.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A counter of energy: starting gives what stops it, which gives the joules in between, undefined where it fails. */
export type EnergyCounter = () => () => number | undefined

/** Where one package counts, and where its counter begins again, in microjoules. */
interface Package {
  readonly file: string
  readonly range: number
}

/**
 * A counter over all processor packages, or undefined where there is none that may be read (Linux lets only root, unless told).
 *
 * `folder` is laid out as `/sys/class/powercap`: `intel-rapl:N/{name,energy_uj,max_energy_range_uj}`, on AMD processors too.
 * What lies below a package (`intel-rapl:N:M`, cores and graphics) is part of it; other domains, as the whole
 * platform, would count it twice.
 */
export function energyCounter(folder = '/sys/class/powercap'): EnergyCounter | undefined {
  const packages = packagesIn(folder)
  const read = () => packages.map(({ file }) => numberIn(file))
  if (packages.length === 0 || read().includes(undefined)) return undefined
  return () => {
    const before = read()
    return () => {
      const after = read()
      const spent = packages.map(({ range }, at) => {
        const difference = (after[at] ?? Number.NaN) - (before[at] ?? Number.NaN)
        // It has begun again at most once: a package takes minutes at its full power to come round.
        return difference < 0 ? difference + range : difference
      })
      const joules = spent.reduce((sum, microjoules) => sum + microjoules, 0) / 1e6
      return Number.isFinite(joules) ? joules : undefined
    }
  }
}

function packagesIn(folder: string): Package[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^intel-rapl:\d+$/.test(name))
      .filter((name) => readFileSync(join(folder, name, 'name'), 'utf8').startsWith('package'))
      .map((name) => ({
        file: join(folder, name, 'energy_uj'),
        range: numberIn(join(folder, name, 'max_energy_range_uj')) ?? Number.NaN,
      }))
  } catch {
    return [] // only Linux has this folder, and not on every machine
  }
}

function numberIn(file: string): number | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim()
    return /^\d+$/.test(text) ? Number(text) : undefined
  } catch {
    return undefined
  }
}
