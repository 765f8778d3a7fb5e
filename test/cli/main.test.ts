// The command line as a user has it: the built program.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { commands } from '../../cli/commands.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { loadModel } from '../../onnx/load.ts'
import { saveModel } from '../../onnx/save.ts'
import { temporaryFolder, tinyRecipe } from '../pipeline/tiny.ts'
import { commandsIn, condenseAlone, program } from './program.ts'

const folder = temporaryFolder()
const condense = commandsIn(folder)
const alone = (...args: string[]) => condenseAlone(folder, ...args)

beforeAll(async () => {
  const model = buildArchitecture(
    { architecture: 'lenet', channels: [2, 3], hidden: [8] },
    { ...oneInput([1, 28, 28], 10), seed: 1 },
  )
  await saveModel(model, join(folder, 'lenet.onnx'))
  writeFileSync(join(folder, 'tiny.json'), JSON.stringify(tinyRecipe))
})

describe('condense --help', () => {
  it('lists every command', () => {
    const { status, stdout } = alone('--help')
    expect(status).toBe(0)
    for (const { usage, summary } of commands) {
      expect(stdout).toContain(`condense ${usage}`)
      expect(stdout).toContain(summary.slice(0, 30))
    }
  })

  it('loads nothing heavy', () => {
    const packages = new Set<string>()
    const visit = (file: string, seen = new Set<string>()) => {
      if (seen.has(file)) return
      seen.add(file)
      for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(
        /^(?:import|export)\b.*?from '([^']+)'/gm,
      ))
        if (name.startsWith('.')) visit(resolve(dirname(file), name), seen)
        else packages.add(name)
    }
    visit(program)
    expect([...packages].filter((name) => !name.startsWith('node:')).sort()).toEqual([
      'fastest-levenshtein',
      'yargs',
      'yargs/helpers',
    ])
  })
})

describe('what a user can mend', () => {
  it.each([
    [[], /^condense: no command was given — see 'condense --help'$/],
    [['rnu'], /^condense: unknown command: 'rnu' — did you mean 'run'\? known: run, init, train/],
    [
      ['run', 'tiny.json', '--sett', 'a=1'],
      /^condense: Unknown arguments?: sett — see 'condense run --help'$/,
    ],
    [['run'], /^condense run: there is no recipe\.yaml here — name a recipe/],
    [['run', 'none.yaml'], /^none\.yaml: no such file or folder — check the path$/],
    [
      ['run', 'tiny.json', '--set', 'sede=1'],
      /^tiny\.json: sede: unknown key — did you mean 'seed'\?/,
    ],
    [
      ['run', 'tiny.json', '--threads', 'x'],
      /^--threads: expected a whole number of at least 1: 'x'/,
    ],
    [['quantize', 'none.onnx', '-o', 'a.onnx', '--scheme', 'dynamic'], /^none\.onnx: no such file/],
    [
      ['quantize', 'lenet.onnx', '-o', 'a.onnx', '--scheme', 'dynamc'],
      /^quantize: scheme: unknown value: 'dynamc' — did you mean 'dynamic'/,
    ],
    [
      ['quantize', 'lenet.onnx', '-o', 'a.onnx', '--scheme', 'dynamic', '--providers', 'cpu, wsm'],
      /^quantize: providers\.1: unknown value: 'wsm' — did you mean 'wasm'/,
    ],
    [
      ['quantize', 'lenet.onnx', '--scheme', 'dynamic'],
      /^condense: Missing required argument: out — see/,
    ],
    [
      ['bench', 'lenet.onnx', '--data', 'digit'],
      /^--data: unknown data set: 'digit' — did you mean 'digits'/,
    ],
    [['inspect', 'tiny.json'], /^tiny\.json: not an ONNX file/],
    [
      ['quantize', 'tiny.json', '-o', 'a.onnx', '--scheme', 'dynamic'],
      /^tiny\.json: not an ONNX file/,
    ],
    [['cache', 'lss'], /^condense cache: unknown action: 'lss' — did you mean 'ls'\?/],
  ] as [string[], RegExp][])('%j exits with 2 and one line', async (args, message) => {
    const { status, stdout, stderr } = await condense(...args)
    expect(stderr.trim()).toMatch(message)
    expect(stderr.trim()).not.toContain('\n')
    expect(stdout).toBe('')
    expect(status).toBe(2)
  })
})

it('exits with 2 from a process of its own, too', () => {
  const { status, stdout, stderr } = alone('inspect', 'none.onnx')
  expect([status, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(/^none\.onnx: no such file or folder — .*\n$/)
})

describe('the other commands', () => {
  it('quantize writes a model', async () => {
    const { status, stdout } = await condense(
      ...['quantize', 'lenet.onnx', '-o', 'made/small.onnx', '--scheme', 'static'],
      ...['--data', 'digits', '--calibration.samples', '32', '--threads', '1'],
    )
    expect(stdout).toMatch(/^made\/small\.onnx: .*kB/)
    expect(status).toBe(0)
    const { graph } = await loadModel(join(folder, 'made/small.onnx'))
    expect(graph.nodes.some(({ opType }) => opType === 'QuantizeLinear')).toBe(true)
  })

  it('train starts from an architecture', async () => {
    const { status, stderr } = await condense(
      ...['train', '{ architecture: mlp, hidden: [8] }', '-o', 'mlp.onnx', '--epochs', '1'],
      ...['--data', '{ source: digits, train: { limit: 300 } }', '--threads', '1'],
    )
    expect(stderr).toMatch(/trained 1 epochs/)
    expect(status).toBe(0)
    expect((await loadModel(join(folder, 'mlp.onnx'))).graph.outputs).toHaveLength(1)
  })

  it('bench measures files against a teacher', async () => {
    mkdirSync(join(folder, 'bench'), { recursive: true })
    const { status, stdout } = await condense(
      ...['bench', 'lenet.onnx', 'lenet.onnx', '--data', '{ source: digits, test: { limit: 50 } }'],
      ...['--seconds', '0.02', '--no-knowledge', '-o', 'bench', '--json'],
    )
    expect(status).toBe(0)
    const report = JSON.parse(stdout) as {
      name: string
      variants: { id: string; retention: { agreement: number } }[]
    }
    expect(report.name).toBe('lenet')
    expect(report.variants).toMatchObject([{ id: 'lenet', retention: { agreement: 1 } }])
    expect(readdirSync(join(folder, 'bench')).sort()).toEqual([
      'report.csv',
      'report.html',
      'report.json',
      'report.junit.xml',
      'report.md',
    ])
  })

  it('inspect tells facts, groups and the graph', async () => {
    const { stdout } = await condense('inspect', 'lenet.onnx', '--groups')
    expect(stdout).toMatch(/input +input: float32 \[N, 1, 28, 28\]/)
    expect(stdout).toMatch(/conv1 +2 +conv1 +yes/)
    expect((await condense('inspect', 'lenet.onnx', '--text')).stdout).toMatch(/^graph lenet\n/)
    const facts = JSON.parse((await condense('inspect', 'lenet.onnx', '--json')).stdout) as object
    expect(facts).toMatchObject({ opsets: { 'ai.onnx': 21 }, operators: { Conv: 2, Gemm: 2 } })
  })

  it('init writes a recipe that can be planned, and replaces none', async () => {
    expect((await condense('init', 'lenet.onnx', '--data', 'digits')).status).toBe(0)
    const plan = await condense('run', '--dry-run', '--json')
    expect(JSON.parse(plan.stdout)).toMatchObject({
      steps: [{ id: 'prune' }, { id: 'int8' }, { id: 'float16' }],
    })
    expect((await condense('init', 'lenet.onnx')).stderr).toMatch(
      /^recipe\.yaml: is there already — /,
    )
  })

  it('schema prints schema.json', async () => {
    expect((await condense('schema')).stdout).toBe(readFileSync('schema.json', 'utf8'))
  })

  it('ops prints docs/ops.md', async () => {
    expect((await condense('ops')).stdout).toBe(readFileSync('docs/ops.md', 'utf8'))
  })

  it('doctor tells what is here and why not', async () => {
    const { status, stdout } = await condense('doctor')
    expect(status).toBe(0)
    expect(stdout).toMatch(/provider cpu +yes/)
    expect(stdout).toMatch(/provider cuda +(yes|no: .+)/)
    expect(stdout).toMatch(/provider wasm:browser +no: CONDENSE_BROWSER: no such file: /)
    expect(stdout).toMatch(
      /integers cpu +u?int8 weights of [78] bits(, dynamic uint8 weights of 8 bits)?: .*self-test/,
    )
    expect(stdout).toMatch(/activations: uint8, because /)
    expect(stdout).toMatch(/data digits +yes: in .*mnist/)
  })

  it('sensitivity looks at quantization, as a table, JSON and a page', async () => {
    const command = [
      'sensitivity',
      'lenet.onnx',
      '--data',
      'digits',
      '--scheme',
      'dynamic',
    ] as const
    const { status, stdout } = await condense(...command, '-o', 'sensitivity')
    expect(status).toBe(0)
    expect(stdout).toMatch(/with everything dynamic \(SQNR [\d.]+ dB\), on \d+ validation samples/)
    const report = JSON.parse(readFileSync(join(folder, 'sensitivity/sensitivity.json'), 'utf8'))
    expect(report.rows).toHaveLength(4)
    expect(existsSync(join(folder, 'sensitivity/sensitivity.html'))).toBe(true)
    const mixed = await condense(...command, '--structure', 'weights')
    expect(mixed.status).not.toBe(0)
    expect(mixed.stderr).toMatch(
      /--structure: is about pruning, --scheme about quantization — leave/,
    )
  })

  it('sensitivity looks at pruning unless told otherwise, and measures what is known only once', async () => {
    const command = [
      ...['sensitivity', 'lenet.onnx', '--data', 'digits', '--layers', '[conv1]'],
      ...['--shares', '[0.5]', '-o', 'pruning'],
    ]
    const { status, stdout } = await condense(...command)
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /with nothing gone, on \d+ validation samples\n\n.+\n.*\n?conv1 +1 of 2 /,
    )
    const report = JSON.parse(readFileSync(join(folder, 'pruning/sensitivity.json'), 'utf8'))
    expect(report).toMatchObject({
      ...{ structure: 'channels', criterion: 'l1' },
      rows: [{ name: 'conv1', size: 2, points: [{ share: 0.5, gone: 1 }] }],
    })
    expect(readFileSync(join(folder, 'pruning/sensitivity.html'), 'utf8')).toContain('<svg')
    const again = (await condense(...command, '--json')).stdout
    expect(again).toContain('sensitivity: 0 cuts measured')
    const last = JSON.parse(again.trim().split('\n').at(-1)!)
    expect(last.rows).toEqual(report.rows)
    const refused = await condense('sensitivity', 'lenet.onnx', '--data', 'digits', '--shares', '2')
    expect(refused.stderr).toMatch(/^sensitivity: shares: [^\n]+\n$/)
  })

  it('cache lists and clears', async () => {
    expect((await condense('cache', 'ls')).stdout).toMatch(/train +.*\n[\s\S]*finished stages/)
    expect((await condense('cache', 'clear')).stdout).toMatch(/freed /)
    expect((await condense('cache', 'ls')).stdout).toMatch(/: 0 finished stages/)
  })
})
