// `condense run` as a user has it, to its end or interrupted: the built program.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { temporaryFolder, tinyRecipe } from '../pipeline/tiny.ts'
import { expectInterruptions } from './interruptions.ts'
import { commandsIn, condenseAlone } from './program.ts'

const folder = temporaryFolder()
const condense = commandsIn(folder)

beforeAll(() => writeFileSync(join(folder, 'tiny.json'), JSON.stringify(tinyRecipe)))

describe('condense run', () => {
  it('runs, prints the result and exits with 3 where a gate fails', () => {
    const args = [
      'run',
      'tiny.json',
      '--set',
      'benchmark.gates.size=<= 0.0001',
      '--set',
      'benchmark.gates.agreement=>= 0',
    ]
    const { status, stdout, stderr } = condenseAlone(folder, ...args)
    expect(stderr).toMatch(/✓ \[1\/2\] quantize: /)
    expect(stdout).toMatch(/^variant +accuracy +retention +size/)
    expect(stdout).toMatch(/✗ half: size 0\.\d+, limit <= 0\.0001/)
    expect(stdout).toMatch(/✓ half: agreement/)
    expect(stdout).toContain(join('runs', 'tiny', 'report.html'))
    expect(existsSync(join(folder, 'runs/tiny/report.html'))).toBe(true)
    expect(status).toBe(3)
  })

  it('puts a run of other options into another folder, and prints JSON lines for machines', async () => {
    const other = ['run', 'tiny.json', '--set', 'stages=[]', '--threads', '1']
    const { status, stdout } = await condense(...other, '--json')
    expect(status).toBe(0)
    const lines = stdout.trim().split('\n')
    const events = lines.map((line) => JSON.parse(line) as { event: string; folder?: string })
    expect(events[0]).toMatchObject({ event: 'run-start' })
    expect(events[0]?.folder).toMatch(/^runs\/tiny-[0-9a-f]{8}$/)
    expect(events.at(-1)).toMatchObject({ event: 'report', report: { version: 1, name: 'tiny' } })
  })

  it('shows with --dry-run what it would do', async () => {
    const { status, stdout } = await condense('run', 'tiny.json', '--dry-run', '--threads', '1')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^step +stage +from +time +size\nteacher +train +cached/)
    expect(stdout).toMatch(/time with benchmark: about .*\ndisk: at most /)
  })
})

// The slow tests have it the other way round.
it('Ctrl-C and SIGTERM end with 130 and leave whole files, and the next run goes on', () =>
  expectInterruptions(folder, ['SIGINT', 'SIGTERM']))
