// A distillation on texts, whose records lie in a file: killed, with its prepared data lost, it ends with the same bytes.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { RecipeInput } from '../../index.ts'
import { temporaryFolder } from '../pipeline/tiny.ts'
import { jsonlOf, quickly } from '../pipeline/whole.ts'

const base = temporaryFolder()
const words = ['sun', 'rain', 'snow', 'wind', 'goal', 'ball', 'team', 'match', 'the', 'a']
const rows = Array.from({ length: 1200 }, (_, index) => {
  const { integer } = random(13, 'texts', index)
  const text = Array.from({ length: 8 }, () => words[integer(10)])
  const weather = text.filter((word) => words.indexOf(word!) < 4).length
  return { text: text.join(' '), label: weather > 3 ? 'weather' : 'sport' }
})
writeFileSync(join(base, 'texts.jsonl'), jsonlOf(rows))

const student = { architecture: 'bilstm-tagger', embedding: 8, hidden: 8 } as const
const recipe: RecipeInput = {
  name: 'texts',
  seed: 2,
  data: {
    format: 'jsonl',
    path: '../texts.jsonl',
    features: { text: { kind: 'text', column: 'text', length: 10 } },
  },
  teacher: {
    model: { architecture: 'bilstm-tagger', embedding: 16, hidden: 12 },
    train: { epochs: 2, batch: 32 },
  },
  stages: [{ stage: 'distill', student, epochs: 40, batch: 32 }],
  benchmark: quickly,
}

const args = [resolve('dist/cli/main.js'), 'run', 'recipe.json', '--json']
const settingsOf = (name: string) => ({
  cwd: join(base, name),
  env: { ...process.env, CONDENSE_CACHE: join(base, name, 'cache'), NO_COLOR: '1' },
})

const modelsOf = (name: string) =>
  ['teacher', 'distill'].map((id) =>
    readFileSync(join(base, name, 'runs/texts/variants', id, 'model.onnx')),
  )

it('gives the same bytes', async () => {
  for (const name of ['whole', 'killed']) {
    mkdirSync(join(base, name))
    writeFileSync(join(base, name, 'recipe.json'), JSON.stringify(recipe))
  }
  const { status, stderr } = spawnSync(process.execPath, args, {
    ...settingsOf('whole'),
    encoding: 'utf8',
  })
  expect([status, stderr]).toEqual([0, ''])

  // Killed in the middle of the student's training.
  const child = spawn(process.execPath, args, {
    ...settingsOf('killed'),
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let told = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
    if (/"id":"distill"[^\n]*"epoch":1\d/.test(told)) child.kill('SIGKILL')
  })
  await new Promise((done) => child.once('close', done))
  expect(child.signalCode).toBe('SIGKILL')
  expect(existsSync(join(base, 'killed/runs/texts/report.json'))).toBe(false)

  const prepared = join(base, 'killed/cache/prepared')
  expect(readdirSync(prepared).length).toBeGreaterThan(0)
  rmSync(prepared, { recursive: true })
  const again = spawnSync(process.execPath, args, { ...settingsOf('killed'), encoding: 'utf8' })
  expect([again.status, again.stderr]).toEqual([0, ''])
  // It went on where it had been.
  expect(/"event":"progress","id":"distill"[^\n]*"epoch":1,/.test(again.stdout)).toBe(false)
  expect(modelsOf('killed')).toEqual(modelsOf('whole'))
})
