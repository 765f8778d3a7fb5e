import { describe, expect, it } from '@jest/globals'
import { commands } from '../../cli/commands.ts'
import {
  dataOption,
  modelOption,
  numberOption,
  providersOption,
  textsOption,
} from '../../cli/options.ts'
import { flagsOf } from '../../cli/stage.ts'
import { stages } from '../../stages/index.ts'

describe('options of the command line', () => {
  it('read data sets by name and as YAML', () => {
    expect(dataOption({ data: 'digits' })).toEqual({ source: 'digits' })
    expect(dataOption({ data: '{ format: idx, path: a }' })).toEqual({ format: 'idx', path: 'a' })
    expect(dataOption({})).toBeUndefined()
  })

  it('read models as paths and as YAML', () => {
    expect(modelOption('a.onnx')).toEqual({ file: 'a.onnx' })
    expect(modelOption('{ architecture: mlp, hidden: [3] }')).toEqual({
      ...{ architecture: 'mlp', hidden: [3] },
      // The architecture's own defaults.
      ...{ activation: 'relu', normalisation: false, dropout: 0 },
    })
  })

  it('read lists', () => {
    expect(providersOption({ providers: 'cpu,wasm' }, 'providers')).toEqual(['cpu', 'wasm'])
    expect(textsOption({ set: ['a=1', 'b=2'] }, 'set')).toEqual(['a=1', 'b=2'])
  })

  it.each([
    [
      () => numberOption({ threads: 'two' }, 'threads', { integer: true, minimum: 1 }),
      "--threads: expected a whole number of at least 1: 'two'",
    ],
    [() => numberOption({ threads: '0' }, 'threads', { minimum: 1 }), 'at least 1'],
    [() => numberOption({ threads: '' }, 'threads'), 'expected a number'],
    [
      () => dataOption({ data: 'digit' }),
      "--data: unknown data set: 'digit' — did you mean 'digits'?",
    ],
    [() => dataOption({ data: '{ a' }), '--data: not YAML'],
    [() => providersOption({ providers: 'gpu' }, 'providers'), "provider: unknown: 'gpu'"],
    [
      () => modelOption('{ architecture: mlpp }'),
      "unknown architecture: 'mlpp' — did you mean 'mlp'?",
    ],
  ])('refuse what is wrong: %#', (read, message) => {
    expect(read).toThrow(message)
  })
})

describe('the command of a stage', () => {
  it.each(Object.entries(stages))('%s has the summary of the stage', (name, { summary }) => {
    const command = commands.find(({ usage }) => usage.startsWith(`${name} `))
    expect(command?.summary).toBe(summary)
  })

  it('has a flag for every option of the schema, nested ones with a dot', () => {
    const names = flagsOf(stages.quantize.options).map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining(['scheme', 'calibration.method', 'calibration.samples']),
    )
    expect(names).not.toContain('stage')
  })

  it('has flags that no general option of the command line hides', () => {
    const general = [
      'out',
      'data',
      'teacher',
      'seed',
      'threads',
      'provider',
      'json',
      'model',
      'help',
      'version',
    ]
    for (const { options } of Object.values(stages))
      expect(flagsOf(options).filter(({ name }) => general.includes(name))).toEqual([])
  })
})
