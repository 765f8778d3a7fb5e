// What a run shows while it goes on: in a log, and on a terminal, for which util-linux's `script` stands in.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { beforeAll, expect, it } from '@jest/globals'
import { temporaryFolder, tinyRecipe } from '../pipeline/tiny.ts'
import { screenOf } from './screen.ts'

const program = resolve('dist/cli/main.js')
const folder = temporaryFolder()
const command = ['run', 'shown.json']

/** Runs a program with a cache of its own, so that nothing is done already. */
const execute = (name: string, args: readonly string[], cache: string) =>
  spawnSync(name, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, CONDENSE_CACHE: join(folder, cache), NO_COLOR: '1' },
  })

beforeAll(() => {
  const train = { epochs: 3, batch: 32 }
  const stages = tinyRecipe.stages!.slice(0, 1)
  const recipe = { ...tinyRecipe, teacher: { ...tinyRecipe.teacher, train }, stages }
  writeFileSync(join(folder, 'shown.json'), JSON.stringify(recipe))
})

it('writes one line for each epoch that is finished to a log, with its loss and accuracy', () => {
  const { stderr, status } = execute(process.execPath, [program, ...command], 'log')
  expect(status).toBe(0)
  const lines = stderr.trim().split('\n')
  expect(lines.filter((line) => line.startsWith('teacher: epoch'))).toEqual(
    [1, 2, 3].map((epoch) =>
      expect.stringMatching(
        RegExp(`^teacher: epoch ${epoch}/3  loss \\d\\.\\d{3}  accuracy \\d+\\.\\d\\d\u202f%`),
      ),
    ),
  )
  expect(stderr).not.toContain('\u001b')
  expect(lines.filter((line) => line.startsWith('✓'))).toHaveLength(3)
})

const hasScript =
  process.platform === 'linux' && execute('script', ['--version'], 'none').status === 0
const itOnTerminal = hasScript ? it : it.skip
const reason = hasScript ? '' : ' (skipped: there is no util-linux `script` here)'

itOnTerminal(
  `leaves a terminal with finished steps and the result, and its cursor${reason}`,
  () => {
    const columns = 100
    const words = [process.execPath, program, ...command].map((word) => `'${word}'`).join(' ')
    const shell = `stty cols ${columns} rows 20; ${words}`
    const { stdout, status } = execute('script', ['-qec', shell, '/dev/null'], 'terminal')
    expect(status).toBe(0)
    expect(stdout).toMatch(/▸ teacher +[█░]{8,24} {2}epoch 3\/3 {2}loss/)
    const screen = screenOf(columns, 20)
    screen.write(stdout)
    expect(screen.modes()).toEqual({ cursor: true, wrap: true })
    const left = screen.text()
    expect(left.filter((line) => /[█░▸·]/.test(line))).toEqual([])
    // Above them may stand a warning that so small a model became slower: that is timed, and differs.
    const finished = left.filter((line) => /^(✓|variant)/.test(line))
    expect(finished.map((line) => line.replace(/ {2,}.*| \d.*/, ''))).toEqual([
      '✓ teacher',
      '✓ [1/1] quantize',
      '✓ benchmark',
      'variant',
    ])
  },
)
