import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { roundSpread, watchOthers } from '../../benchmarks/noise.ts'
import { allowedCores, pin } from '../../benchmarks/pinning.ts'
import { temporaryFolder } from '../support/measured.ts'

const folder = temporaryFolder()

describe('roundSpread', () => {
  it('is how far the quartiles of medians lie apart', () => {
    const rounds = [10, 8, 12, 9, 11].map((median) => Float64Array.of(median, median, 100))
    expect(roundSpread(rounds)).toBeCloseTo(0.2, 12)
    expect(roundSpread(rounds.slice(2))).toBeUndefined()
  })
})

describe('watchOthers', () => {
  const stat = (...ticks: number[]) => {
    const file = join(folder, 'stat')
    writeFileSync(file, `cpu  ${ticks.join(' ')}\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5 6\n`)
    return file
  }

  it('counts what is busy and not ours, what the hypervisor took included', () => {
    const others = watchOthers(stat(100, 0, 50, 800, 10, 0, 0, 0, 7, 7))
    stat(120, 5, 60, 850, 15, 0, 0, 10, 90, 90)
    expect(others(0)).toBeCloseTo(45 / 100, 12)
  })

  it('takes our own share off', async () => {
    const others = watchOthers(stat(100, 0, 0, 100))
    stat(150, 0, 0, 150)
    await setTimeout(20)
    // Longer than all processors together had: more than ours cannot be left.
    expect(others(10_000)).toBe(0)
  })

  it('says nothing where the system does not', () => {
    expect(watchOthers(join(folder, 'nothing'))(0)).toBeUndefined()
    const others = watchOthers(stat(1, 1, 1, 1))
    expect(others(0)).toBeUndefined()
  })
})

describe('pin', () => {
  const cores = allowedCores()
  const itWhere = process.platform === 'linux' && cores.length > 1 ? it : it.skip
  const coresOf = (pid: number) => allowedCores(`/proc/${pid}/status`)

  it('knows lists of cores', () => {
    const file = join(folder, 'status')
    writeFileSync(file, 'Name:\tnode\nCpus_allowed_list:\t0-2,5,7-8\n')
    expect(allowedCores(file)).toEqual([0, 1, 2, 5, 7, 8])
    expect(allowedCores(join(folder, 'nothing'))).toEqual([])
  })

  itWhere('keeps a process on one core until it is released', async () => {
    const child = spawn('sleep', ['60'])
    try {
      const pinned = await pin([child.pid!])
      // Without taskset nothing is pinned, and nothing is claimed.
      expect(coresOf(child.pid!)).toEqual(pinned ? [pinned.core] : cores)
      await pinned?.release()
      expect(coresOf(child.pid!)).toEqual(cores)
    } finally {
      child.kill()
      await once(child, 'exit')
    }
  })

  itWhere('claims nothing for a process that is not there', async () => {
    expect(await pin([2 ** 22 + 1])).toBeUndefined()
  })
})
