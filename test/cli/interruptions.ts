// Runs of the built program that are interrupted as by Ctrl-C, and what they must leave behind.
import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import type { RunEvent } from '../../pipeline/events.ts'
import { tinyRecipe } from '../pipeline/tiny.ts'
import { program, settingsOf } from './program.ts'

/** Expects a run to end with 130 at the first signal, to leave whole files, and the next run, which gets the second, to go on. */
export async function expectInterruptions(
  folder: string,
  [first, second]: readonly [NodeJS.Signals, NodeJS.Signals],
): Promise<void> {
  const train = { epochs: 400, batch: 16 }
  const recipe = { ...tinyRecipe, teacher: { ...tinyRecipe.teacher, train }, stages: [] }
  writeFileSync(join(folder, 'long.json'), JSON.stringify({ ...recipe, name: 'long' }))
  const interrupt = async (signal: NodeJS.Signals) => {
    const ended = await interrupted(folder, ['run', 'long.json', '--json'], signal)
    expect(ended.status).toBe(130)
    expect(ended.stderr.trim()).toBe('interrupted: run the same command again to go on')
    const left = readdirSync(join(folder, 'runs', 'long'), { recursive: true, encoding: 'utf8' })
    expect(left.sort()).toEqual(['events.ndjson', 'recipe.resolved.json'])
    const cache = settingsOf(folder).env.CONDENSE_CACHE
    const kept = readdirSync(cache, { recursive: true, encoding: 'utf8' })
    expect(kept.filter((file) => file.endsWith('.tmp'))).toEqual([])
    return ended
  }
  const reached = await interrupt(first)
  const again = await interrupt(second)
  expect(again.firstEpoch).toBeGreaterThan(1)
  expect(again.firstEpoch).toBeGreaterThanOrEqual(reached.lastEpoch)
}

/** Runs `condense`, interrupts it in the third epoch that it reports, and tells how it ended. */
async function interrupted(folder: string, args: string[], signal: NodeJS.Signals) {
  const child = spawn(process.execPath, [program, ...args], settingsOf(folder))
  const epochs: number[] = []
  let stderr = ''
  let rest = ''
  let asked = false
  child.stderr.on('data', (piece: Buffer) => {
    stderr += piece
  })
  child.stdout.on('data', (piece: Buffer) => {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const event = JSON.parse(line) as RunEvent
      if (event.event === 'progress' && event.epoch) epochs.push(event.epoch)
    }
    // Once: whoever asks twice does not wait for the end of the step.
    if (new Set(epochs).size >= 3 && !asked) {
      asked = true
      child.kill(signal)
    }
  })
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { status, stderr, firstEpoch: epochs[0] ?? 0, lastEpoch: epochs.at(-1) ?? 0 }
}
