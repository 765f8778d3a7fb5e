// `condense explain` as a user has it: the built program, on a run that is made up.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { temporaryFolder, tinyData } from '../pipeline/tiny.ts'
import { reportFixture } from '../support/report-fixture.ts'
import { commandsIn } from './program.ts'

const folder = temporaryFolder()
const condense = commandsIn(folder)

async function explain(...args: string[]) {
  const { status, stdout, stderr } = await condense('explain', ...args)
  return { status, stdout, stderr: stderr.trim() }
}

const student = { architecture: 'mlp', hidden: [6] }

/** A finished run whose distillation has these options. */
function writeRun(name: string, distill: object) {
  const report = reportFixture()
  const [first, ...others] = report.variants
  const epochs = [{ epoch: 1, loss: 2, seconds: 1, terms: [1.5, 0.5] }]
  mkdirSync(join(folder, name))
  writeFileSync(
    join(folder, name, 'report.json'),
    JSON.stringify({
      ...report,
      variants: [{ ...first, training: { epochs }, advice: ['too hot'] }, ...others],
      recipe: {
        name: 'made-up',
        data: tinyData,
        teacher: { model: { architecture: 'mlp' }, train: { epochs: 1 } },
        stages: [{ stage: 'distill', student, ...distill }],
      },
    }),
  )
}

beforeAll(() => {
  const falling = { from: 8, to: 1, shape: 'cosine' }
  writeRun('run', {
    losses: [{ loss: 'kl', weight: 0.9, temperature: falling }, { loss: 'cross-entropy' }],
  })
  writeRun('single', { losses: [{ loss: 'kl' }] })
})

describe('condense explain', () => {
  it('shows what each student learned from, and the advice', async () => {
    const { status, stdout, stderr } = await explain('run')
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^teacher: accuracy 98\.85/)
    expect(stdout).toMatch(
      /distill: distill from teacher, 1 epoch: accuracy 98\.45.*retention 99\.60/,
    )
    expect(stdout).toMatch(/kl +0\.9 +8 → 1 \(cosine\) +75\.0\s%/)
    expect(stdout).toMatch(/cross-entropy +1 +25\.0\s%/)
    expect(stdout).toContain('advice: distill: too hot')
    expect(status).toBe(0)
  })

  it('prints JSON for machines', async () => {
    const { status, stdout } = await explain('run', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      run: 'run',
      variants: [{ id: 'distill', losses: [{ loss: 'kl', share: 0.75 }, {}] }],
      advice: ['distill: too hot', expect.stringMatching(/^'distill' is not better/)],
    })
    expect(status).toBe(0)
  })

  it.each([
    [
      ['none'],
      /^none: no run is there: it has no report\.json — give the folder of a finished run/,
    ],
    [['single', '--ablate'], /^single: nothing can be left out: 'distill' has a single loss — /],
  ] as [string[], RegExp][])('%j exits with 2 and one line', async (args, message) => {
    const { status, stdout, stderr } = await explain(...args)
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('\n')
    expect(stdout).toBe('')
    expect(status).toBe(2)
  })
})
