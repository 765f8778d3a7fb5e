import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { mapPaths } from '../../pipeline/paths.ts'
import { checkRecipe, parseRecipe } from '../../pipeline/read-recipe.ts'
import { recipeSchema } from '../../pipeline/schema.ts'
import { recipeTemplate } from '../../pipeline/template.ts'
import { stages } from '../../stages/index.ts'
import { tinyRecipe } from './tiny.ts'

const changed = (...overrides: string[]) => checkRecipe(tinyRecipe, { overrides }).recipe

/** The message of the one-line error that a recipe in YAML is refused with. */
function refusal(text: string, ...overrides: string[]): string {
  try {
    parseRecipe(text, 'r.yaml', { overrides })
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(UserError)
    const { message } = thrown as UserError
    expect(message).not.toContain('\n')
    return message
  }
  throw new Error('the recipe was accepted')
}

const head = 'name: a\ndata: { source: digits }\nteacher: { model: { file: t.onnx } }\n'

describe('a recipe', () => {
  it('gets every default made explicit', () => {
    const { recipe } = parseRecipe(head, 'r.yaml')
    expect(recipe.seed).toBe(0)
    expect(recipe.provider).toBe('cpu')
    expect(recipe.stages).toEqual([])
    expect(recipe.benchmark.providers).toEqual(['cpu'])
    expect(recipe.data.validation).toBe(0.1)
  })

  it('is the same in JSON', () => {
    const json = JSON.stringify({ ...tinyRecipe, $schema: 'schema.json' })
    expect(parseRecipe(json, 'r.json').recipe).toEqual(checkRecipe(tinyRecipe).recipe)
  })

  it('names steps by their stage and counts them', () => {
    const text = `${head}stages: [{stage: optimize}, {stage: optimize}, {stage: optimize, id: optimize-3}, {stage: optimize}]`
    const { recipe } = parseRecipe(text, 'r.yaml')
    expect(recipe.stages.map(({ id, from }) => [id, from])).toEqual([
      ['optimize', 'teacher'],
      ['optimize-2', 'optimize'],
      ['optimize-3', 'optimize-2'],
      ['optimize-4', 'optimize-3'],
    ])
  })

  it('resolves paths against its own folder and nothing else', () => {
    const text = `${head}stages: [{ stage: distill, student: { file: ../s.onnx } }]`
    const { recipe, written } = parseRecipe(text, '/a/b/r.yaml')
    expect(recipe.teacher.model).toEqual({ file: resolve('/a/b/t.onnx') })
    expect(recipe.stages[0]).toMatchObject({ student: { file: resolve('/a/s.onnx') } })
    expect(written.teacher.model).toEqual({ file: 't.onnx' })
  })

  it('resolves to a recipe that resolves to itself', () => {
    const { recipe } = checkRecipe(tinyRecipe)
    expect(checkRecipe(JSON.parse(JSON.stringify(recipe))).recipe).toEqual(recipe)
  })

  it('knows every stage of the table', () => {
    const { properties } = recipeSchema() as {
      properties: { stages: { items: { oneOf: object[] } } }
    }
    const known = properties.stages.items.oneOf.map(
      (step) => (step as { properties: { stage: { const: string } } }).properties.stage.const,
    )
    expect(known).toEqual(Object.keys(stages))
  })

  it('documents every option', () => {
    const undocumented: string[] = []
    const whole = recipeSchema() as { readonly $defs: Readonly<Record<string, object>> }
    const resolved = (schema: object): object =>
      '$ref' in schema ? whole.$defs[String(schema.$ref).replace('#/$defs/', '')]! : schema
    const visit = (given: unknown, path: string) => {
      if (given === null || typeof given !== 'object') return
      const schema = resolved(given)
      const { properties = {}, ...rest } = schema as { properties?: Record<string, object> }
      for (const [key, property] of Object.entries(properties)) {
        const at = `${path}.${key}`
        const known = resolved(property)
        if (!('description' in known) && !('const' in known)) undocumented.push(at)
        visit(property, at)
      }
      for (const [key, inner] of Object.entries(rest)) {
        if (['items', 'additionalProperties'].includes(key)) visit(inner, path)
        if (['oneOf', 'anyOf'].includes(key)) for (const one of inner as object[]) visit(one, path)
      }
    }
    visit(whole, '')
    expect(undocumented).toEqual([])
  })
})

describe('a bad recipe is refused in one line', () => {
  it.each([
    ['nmae: a', "nmae: unknown key — did you mean 'name'?"],
    [
      `${head}stages: [{ stage: quantise }]`,
      "stages.0.stage: unknown stage: 'quantise' — did you mean 'quantize'?",
    ],
    [`${head}stages: [{}]`, 'stages.0.stage: missing — give one of train, distill'],
    [
      `${head}stages: [{ stage: quantize, scheme: static, calibration: { metod: minmax } }]`,
      "stages.0.calibration.metod: unknown key — did you mean 'method'?",
    ],
    [
      `${head}stages: [{ stage: quantize, scheme: static, calibration: { samples: many } }]`,
      "stages.0.calibration.samples: expected a number, got text: 'many' — Calibration samples",
    ],
    [
      `${head}stages: [{ stage: quantize, scheme: float16, perChannel: true }]`,
      "stages.0.perChannel: does not go with scheme 'float16'",
    ],
    [`${head}seed: one`, "seed: expected a number, got text: 'one' — Decides everything"],
    [`${head}seed: 1.5`, 'seed: expected a whole number, got a fraction: 1.5'],
    [`${head}seed: -1`, 'seed: expected a number of at least 0: -1'],
    [`${head}stages: {}`, 'stages: expected a list, got a mapping: {}'],
    [
      head.replace('name: a', 'name: ../a'),
      "name: expected letters, digits, '.', '_' and '-': '../a'",
    ],
    [
      head.replace('digits', 'digit'),
      "data.source: unknown value: 'digit' — did you mean 'digits'?",
    ],
    [head.replace('source: digits', 'format: idx'), "data.path: format 'idx' needs the 'path'"],
    [
      head.replace('file: t.onnx', 'fiel: t.onnx'),
      "teacher.model.fiel: unknown key — did you mean 'file'?",
    ],
    [
      head.replace('file: t.onnx', 'architecture: resnett'),
      "teacher.model.architecture: unknown architecture: 'resnett' — did you mean 'resnet'?",
    ],
    [
      head.replace('file: t.onnx', 'architecture: resnet, depht: 8'),
      "teacher.model.depht: unknown key — did you mean 'depth'? known: architecture, depth, width",
    ],
    [
      head.replace('file: t.onnx', 'architecture: resnet, depth: 9'),
      'teacher.model.depth: expected 6n+2: 8, 14, 20, …: 9',
    ],
    [
      head.replace('file: t.onnx', 'architecture: mlp'),
      'teacher.train: missing: an architecture starts',
    ],
    [
      `${head}stages: [{ stage: train, schedule: cosin }]`,
      "stages.0.schedule: unknown value: 'cosin' — did you mean 'cosine'?",
    ],
    [
      `${head}stages: [{ stage: train, schedule: { name: constant, factor: 0.5 } }]`,
      'stages.0.schedule.factor: unknown key — known: name, warmup',
    ],
    [
      `${head}stages: [{ stage: train, optimizer: { name: adamv } }]`,
      "stages.0.optimizer.name: unknown name: 'adamv' — did you mean 'adam'?",
    ],
    [
      `${head}stages: [{ stage: optimize, from: b }]`,
      "stages.0.from: no earlier variant: 'b' — known: teacher",
    ],
    [
      `${head}stages: [{ stage: optimize, id: b }, { stage: optimize, id: b }]`,
      "stages.1.id: two variants have this id: 'b'",
    ],
    [
      `${head}stages: [{ stage: optimize, id: teacher }]`,
      "stages.0.id: two variants have this id: 'teacher'",
    ],
    [
      `${head}benchmark: { gates: { retention: 0.99 } }`,
      'benchmark.gates.retention: expected text, got a number: 0.99',
    ],
    [
      `${head}benchmark: { gates: { retention: '0.99' } }`,
      "benchmark.gates.retention: expected a comparison with a number, such as '>= 0.99': '0.99'",
    ],
    [
      `${head}benchmark: { gates: { variant: b } }`,
      "benchmark.gates.variant: no such variant: 'b'",
    ],
    [
      `${head}benchmark: { gates: { latency: { wasm: '<= 1' } } }`,
      "benchmark.gates.latency.wasm: the provider is not measured: 'wasm' — add it to benchmark.providers",
    ],
    [`${head}benchmark: { providers: [gpu] }`, "benchmark.providers.0: unknown value: 'gpu'"],
    ['a: [1', 'neither YAML nor JSON: Flow sequence'],
    ['', 'expected a mapping, got nothing: null'],
    ['just text', "expected a mapping, got text: 'just text'"],
    ['a: 1\na: 2', 'neither YAML nor JSON: Map keys must be unique'],
  ])('%#: %j', (text, message) => {
    const told = refusal(text)
    expect(told).toMatch(/^r\.yaml: /)
    expect(told.slice('r.yaml: '.length)).toContain(message)
  })

  it('counts the problems that it does not tell', () => {
    expect(refusal(`${head}seed: x\nprovider: y`)).toMatch(/ \(and 1 more problem\)$/)
  })
})

describe('--set', () => {
  it('changes what is there and adds what is not', () => {
    const recipe = changed('seed=9', 'stages.0.exclude=[a]', 'teacher.train.optimizer.rate=0.5')
    expect(recipe.seed).toBe(9)
    expect(recipe.stages[0]).toMatchObject({ exclude: ['a'] })
    expect(recipe.teacher.train?.optimizer.rate).toBe(0.5)
    expect(changed('benchmark.gates.size=<= 0.5').benchmark.gates).toEqual({ size: '<= 0.5' })
    expect(changed('benchmark.gates.agreement=>= 0.9').benchmark.gates).toEqual({
      agreement: '>= 0.9',
    })
  })

  it('takes away what is set to null', () => {
    expect(changed('benchmark.gates.size=<= 0.5', 'benchmark.gates=null').benchmark.gates).toBe(
      undefined,
    )
    expect(changed('seed=9', 'seed=null').seed).toBe(0)
  })

  it('leaves the recipe that it was given as it was', () => {
    const before = JSON.stringify(tinyRecipe)
    changed('seed=9', 'stages.0.scheme=float16')
    expect(JSON.stringify(tinyRecipe)).toBe(before)
  })

  it.each([
    ['seed', 'not an override — write path.to.option=value'],
    ['=1', 'not an override'],
    ['stages.7.id=x', "no such place in a list of 0: '7'"],
    ['name.x=1', '\'x\' lies below a plain value: "a"'],
    ['seed=[1', 'the value is not YAML'],
    ['sede=1', "sede: unknown key — did you mean 'seed'?"],
    ['__proto__.polluted=1', '__proto__: unknown key'],
  ])('refuses %s', (override, message) => {
    expect(refusal(`${head}stages: []`, override)).toContain(message)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })
})

it('takes keys file and path, and no others, for paths', () => {
  const found: string[] = []
  mapPaths({ file: 'a', deep: [{ path: 'b', name: 'c' }], files: 'd', list: ['e'] }, (path) => {
    found.push(path)
    return path
  })
  expect(found).toEqual(['a', 'b'])
})

it.each(['recipes/digits.yaml', 'recipes/quantize-resnet20.yaml'])('%s is a recipe', (path) => {
  expect(parseRecipe(readFileSync(path, 'utf8'), path).recipe.stages.length).toBeGreaterThan(0)
})

it.each([
  { name: 'a', model: undefined, data: { source: 'digits' as const } },
  { name: '1e5', model: 'it: has "quotes".onnx', data: { format: 'idx' as const, path: 'a b: c' } },
])('writes templates that are recipes: %j', (choices) => {
  const text = recipeTemplate({ ...choices, schema: 'schema.json' })
  const { recipe } = parseRecipe(text, 'recipe.yaml')
  expect(recipe.name).toBe(choices.name)
  if (choices.model) expect(recipe.teacher.model).toEqual({ file: resolve(choices.model) })
})

it('keeps schema.json current', () => {
  const written: unknown = JSON.parse(readFileSync('schema.json', 'utf8'))
  expect(written).toEqual(JSON.parse(JSON.stringify(recipeSchema())))
})
