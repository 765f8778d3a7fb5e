import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { energyCounter } from '../../benchmarks/energy.ts'
import { temporaryFolder } from '../support/measured.ts'

const root = temporaryFolder()
let count = 0

/** A folder laid out as the kernel does it, with these counters in microjoules. */
function powercap(
  domains: Readonly<Record<string, { name: string; energy: number; range?: number }>>,
) {
  const folder = join(root, String(count++))
  for (const [domain, { name, energy, range = 262_143_328_850 }] of Object.entries(domains)) {
    mkdirSync(join(folder, domain), { recursive: true })
    writeFileSync(join(folder, domain, 'name'), `${name}\n`)
    writeFileSync(join(folder, domain, 'energy_uj'), `${energy}\n`)
    writeFileSync(join(folder, domain, 'max_energy_range_uj'), `${range}\n`)
  }
  return {
    folder,
    set: (domain: string, energy: number | string) =>
      writeFileSync(join(folder, domain, 'energy_uj'), `${energy}\n`),
  }
}

describe('energyCounter', () => {
  it('adds up the packages, without their parts and the platform', () => {
    const { folder, set } = powercap({
      'intel-rapl:0': { name: 'package-0', energy: 1_000_000 },
      'intel-rapl:0:0': { name: 'core', energy: 500_000 },
      'intel-rapl:1': { name: 'package-1', energy: 7_000_000 },
      'intel-rapl:2': { name: 'psys', energy: 9_000_000 },
      'intel-rapl-mmio:0': { name: 'package-0', energy: 1_000_000 },
    })
    const stop = energyCounter(folder)!()
    set('intel-rapl:0', 3_500_000)
    set('intel-rapl:0:0', 2_000_000)
    set('intel-rapl:1', 7_250_000)
    set('intel-rapl:2', 19_000_000)
    set('intel-rapl-mmio:0', 3_500_000)
    expect(stop()).toBeCloseTo(2.75, 9)
  })

  it('goes on where a counter begins again', () => {
    const range = 262_143_328_850
    const { folder, set } = powercap({
      'intel-rapl:0': { name: 'package-0', energy: range - 400_000, range },
    })
    const stop = energyCounter(folder)!()
    set('intel-rapl:0', 100_000)
    expect(stop()).toBeCloseTo(0.5, 9)
  })

  it('is absent where nothing can be read', () => {
    expect(energyCounter(join(root, 'nowhere'))).toBeUndefined()
    const { folder, set } = powercap({ 'intel-rapl:0': { name: 'package-0', energy: 1 } })
    set('intel-rapl:0', 'no number')
    expect(energyCounter(folder)).toBeUndefined()
    expect(energyCounter(powercap({ dtpm: { name: 'dtpm', energy: 1 } }).folder)).toBeUndefined()
  })

  it('says nothing where the counter fails in between', () => {
    const { folder, set } = powercap({ 'intel-rapl:0': { name: 'package-0', energy: 1 } })
    const stop = energyCounter(folder)!()
    set('intel-rapl:0', '')
    expect(stop()).toBeUndefined()
  })
})
