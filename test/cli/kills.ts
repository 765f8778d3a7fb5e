// A training that is killed at any moment, and again, ends as one that was left alone.
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect } from '@jest/globals'
import { temporaryFolder, tinyRecipe } from '../pipeline/tiny.ts'

const program = resolve('dist/cli/main.js')
const base = temporaryFolder()
const folderOf = (name: string) => join(base, name)
const settingsOf = (name: string) => ({
  cwd: folderOf(name),
  env: { ...process.env, CONDENSE_CACHE: join(base, name, 'cache'), NO_COLOR: '1' },
})
const args = [program, 'run', 'recipe.json', '--json']

/** Starts the recipe and kills it after so many milliseconds; true where it had come to its end before. */
async function runUntil(milliseconds: number): Promise<boolean> {
  const child = spawn(process.execPath, args, { ...settingsOf('killed'), stdio: 'ignore' })
  const timer = setTimeout(() => child.kill('SIGKILL'), milliseconds)
  const status = await new Promise<number | null>((done) => child.once('close', done))
  clearTimeout(timer)
  expect([0, null]).toContain(status)
  return status === 0
}

const modelOf = (name: string) =>
  readFileSync(join(folderOf(name), 'runs/killed/variants/teacher/model.onnx'))

/** Expects a training that is killed so often, at random moments, to end with the bytes of one that was not. */
export async function expectSameAfterKills(most: number): Promise<void> {
  const train = {
    ...{ epochs: 16, batch: 16, average: 0.99, schedule: 'plateau' },
    ...{ optimizer: { name: 'sgd', rate: 0.02 }, augment: { shift: 1, mixup: 0.2 } },
  }
  const teacher = { ...tinyRecipe.teacher, train }
  for (const name of ['whole', 'killed']) {
    mkdirSync(folderOf(name))
    const recipe = { ...tinyRecipe, name: 'killed', teacher, stages: [] }
    writeFileSync(join(folderOf(name), 'recipe.json'), JSON.stringify(recipe))
  }
  const start = Date.now()
  const { status, stderr } = spawnSync(process.execPath, args, {
    ...settingsOf('whole'),
    encoding: 'utf8',
  })
  expect([status, stderr]).toEqual([0, ''])
  const whole = Date.now() - start

  // From before the first step to somewhere in the middle; the last run is left alone.
  let kills = 0
  const patience = () => (kills < most ? whole * (0.1 + 0.4 * Math.random()) : 2 ** 30)
  while (!(await runUntil(patience()))) kills++
  expect(kills).toBeGreaterThan(0)
  expect(readdirSync(join(folderOf('killed'), 'runs'))).toEqual(['killed'])
  expect(modelOf('killed')).toEqual(modelOf('whole'))
}
