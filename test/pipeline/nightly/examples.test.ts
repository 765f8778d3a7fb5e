// The examples of the documentation are what they say: YAML, and command lines that there are.
import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from '@jest/globals'
import { parse } from 'yaml'
import yargs from 'yargs'
import { commands } from '../../../cli/commands.ts'

const workflow = readFileSync('docs/examples/nightly.yml', 'utf8')
const cron = readFileSync('docs/examples/nightly.cron', 'utf8')

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
}

it('has a workflow that restores and saves the history under a key of its own each night', () => {
  const { on, jobs, concurrency } = parse(workflow)
  expect(on.schedule[0].cron).toMatch(/^\d+ \d+ \* \* \*$/)
  expect(concurrency['cancel-in-progress']).toBe(false)
  const steps: Step[] = jobs.nightly.steps
  const cache = (kind: string) =>
    steps.find(({ uses }) => uses?.startsWith(`actions/cache/${kind}@`))
  expect(cache('save')!.with!.path).toBe(cache('restore')!.with!.path)
  expect(cache('save')!.with!.key).toContain('github.run_id')
  expect(String(cache('save')!.with!.key)).toContain(
    String(cache('restore')!.with!['restore-keys']),
  )
})

it('names commands and options that there are', async () => {
  const lines = [...`${workflow}\n${cron}`.matchAll(/npx condense ([^\n>|&]*)/g)].map(
    ([, line]) => line!,
  )
  expect(lines).toHaveLength(3)
  for (const line of lines) {
    const [name] = line.split(' ')
    const command = commands.find(({ usage }) => usage.split(' ')[0] === name)
    expect(command).toBeDefined()
    const module = await command!.load()
    const parser = yargs()
      .exitProcess(false)
      .strict()
      .fail((message, error) => {
        throw error ?? new Error(message)
      })
    parser.command(
      command!.usage,
      '',
      (builder) => module.build(builder),
      () => {},
    )
    await expect(parser.parseAsync(line)).resolves.toMatchObject({ suite: 'suite.yaml' })
  }
})

it('is linked from the guide', () => {
  const guide = readFileSync('docs/guide/nightly.md', 'utf8')
  for (const [, target] of guide.matchAll(/\]\(([^)#]+)\)/g))
    expect([target, existsSync(`docs/guide/${target}`)]).toEqual([target, true])
})
