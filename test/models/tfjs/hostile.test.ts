import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { convertTfjs } from '../../../models/tfjs/convert.ts'
import { isTfjs } from '../../../models/tfjs/model-file.ts'
import { attr, floats, ints, saveGraph } from './graph-support.ts'
import { newFolder, saveLayers, tf } from './support.ts'

const { layers } = tf

/** A small model, changed in its JSON. */
async function changed(change: (json: ReturnType<typeof JSON.parse>) => void): Promise<string> {
  const net = tf.sequential({ layers: [layers.dense({ units: 3, inputShape: [4], name: 'only' })] })
  const path = await saveLayers(net)
  const json = JSON.parse(readFileSync(path, 'utf8'))
  change(json)
  writeFileSync(path, JSON.stringify(json))
  return path
}

const layer = (json: ReturnType<typeof JSON.parse>) => json.modelTopology.config.layers[0]
const manifest = (json: ReturnType<typeof JSON.parse>) => json.weightsManifest[0]

describe('what a model.json may say', () => {
  it.each([
    [
      'a shard above the folder',
      (json) => {
        manifest(json).paths = ['../secret.bin']
      },
      "'../secret.bin' lies outside",
    ],
    [
      'an absolute shard',
      (json) => {
        manifest(json).paths = ['/etc/passwd']
      },
      "'/etc/passwd' lies outside",
    ],
    [
      'a shard from the net',
      (json) => {
        manifest(json).paths = ['https://host/x']
      },
      'lies outside',
    ],
    [
      'a missing shard',
      (json) => {
        manifest(json).paths = ['gone.bin']
      },
      'no such file',
    ],
    [
      'a shard that is a folder',
      (json) => {
        manifest(json).paths = ['.']
      },
      'lies outside',
    ],
    [
      'a huge weight',
      (json) => {
        manifest(json).weights[0].shape = [2 ** 30, 2 ** 20]
      },
      'too large',
    ],
    [
      'a larger weight than its shards',
      (json) => {
        manifest(json).weights[0].shape = [2 ** 20, 3]
      },
      'but their weights need',
    ],
    [
      'a negative size',
      (json) => {
        manifest(json).weights[0].shape = [-4, 3]
      },
      'weights.0.shape',
    ],
    [
      'an unknown dtype',
      (json) => {
        manifest(json).weights[0].dtype = 'float8'
      },
      'weights.0.dtype',
    ],
    [
      'strings',
      (json) => {
        manifest(json).weights[0].dtype = 'string'
      },
      'dtype string',
    ],
    [
      'quantization without a scale',
      (json) => {
        manifest(json).weights[0].quantization = { dtype: 'uint8' }
      },
      'without scale and min',
    ],
    [
      'no topology',
      (json) => {
        json.modelTopology = 7
      },
      'modelTopology',
    ],
    [
      'no weights',
      (json) => {
        json.weightsManifest = []
      },
      "no weight 'only/bias'",
    ],
    [
      'a layer that is not known',
      (json) => {
        layer(json).class_name = 'Lambda'
      },
      "not converted: Lambda ('only')",
    ],
    [
      'a layer named as what every object has',
      (json) => {
        layer(json).class_name = 'constructor'
      },
      'constructor',
    ],
    [
      'masks',
      (json) => {
        layer(json).class_name = 'Masking'
      },
      "Masking ('only')",
    ],
    [
      'an unknown activation',
      (json) => {
        layer(json).config.activation = 'magic'
      },
      "activation 'magic'",
    ],
    [
      'units that are no number',
      (json) => {
        layer(json).config.use_bias = 'yes'
      },
      'use_bias: expected true or false',
    ],
    [
      'an input without a shape',
      (json) => {
        delete layer(json).config.batch_input_shape
      },
      'no shape',
    ],
    [
      'an input of strings',
      (json) => {
        layer(json).config.dtype = 'string'
      },
      "dtype 'string'",
    ],
    [
      'a layer without a name',
      (json) => {
        delete layer(json).config.name
      },
      'no name',
    ],
    [
      'no layers',
      (json) => {
        json.modelTopology.config.layers = []
      },
      'without layers',
    ],
    [
      'another kind of model',
      (json) => {
        json.modelTopology.class_name = 'Subclass'
      },
      "'Subclass'",
    ],
  ] satisfies [string, (json: ReturnType<typeof JSON.parse>) => void, string][])(
    // biome-ignore format: a table
    'refuses %s',
    async (_, change, message) => {
      const path = await changed(change)
      await expect(convertTfjs(path)).rejects.toThrow(message)
      await expect(convertTfjs(path)).rejects.toMatchObject({ name: 'UserError' })
    },
  )

  it('refuses a shard that a symlink takes out of the folder', async () => {
    const path = await changed((json) => {
      manifest(json).paths = ['link.bin']
    })
    const outside = join(newFolder(), 'secret.bin')
    writeFileSync(outside, 'secret')
    symlinkSync(outside, join(dirname(path), 'link.bin'))
    await expect(convertTfjs(path)).rejects.toThrow('lies outside')
  })

  it('refuses shards that were cut', async () => {
    const path = await changed(() => undefined)
    truncateSync(join(dirname(path), 'group1-shard2of2.bin'), 5)
    await expect(convertTfjs(path)).rejects.toThrow('have 35 bytes, but their weights need 60')
  })

  it.each([
    [
      'layers that take each other',
      [
        ['b', 'a'],
        ['a', 'b'],
      ],
      'takes what no layer makes',
    ],
    ['a layer that takes an unknown one', [['a', 'x']], 'takes what no layer makes'],
  ] as const)('refuses %s', async (_, links, message) => {
    const path = await changed((json) => {
      const { config } = layer(json)
      json.modelTopology = {
        class_name: 'Model',
        config: {
          name: 'm',
          layers: links.map(([name, from]) => ({
            name,
            class_name: 'Dense',
            config: { ...config, name },
            inbound_nodes: [[[from, 0, 0, {}]]],
          })),
          input_layers: [],
          output_layers: [['a', 0, 0]],
        },
      }
    })
    await expect(convertTfjs(path)).rejects.toThrow(message)
  })

  it('refuses models inside models, each of which is called twice', async () => {
    const path = await changed((json) => {
      const { config } = layer(json)
      const inputs = {
        name: 'in',
        class_name: 'InputLayer',
        config: { name: 'in', batch_input_shape: [null, 4], dtype: 'float32' },
        inbound_nodes: [],
      }
      let inner: object = { name: 'a', class_name: 'Dropout', config: { ...config, name: 'a' } }
      let firstCall = 0
      for (let level = 0; level < 30; level++) {
        inner = {
          name: 'a',
          class_name: 'Model',
          config: {
            name: 'a',
            layers: [
              inputs,
              { ...inner, inbound_nodes: [[['in', 0, 0, {}]], [['a', firstCall, 0, {}]]] },
            ],
            input_layers: [['in', 0, 0]],
            output_layers: [['a', firstCall + 1, 0]],
          },
        }
        firstCall = 1
      }
      json.modelTopology = inner
    })
    await expect(convertTfjs(path)).rejects.toThrow('more than 100000 calls')
  })

  it('refuses models inside models without end', async () => {
    const path = await changed((json) => {
      let inner = json.modelTopology.config.layers[0]
      for (let level = 0; level < 100; level++)
        inner = { class_name: 'Sequential', config: { name: `s${level}`, layers: [inner] } }
      json.modelTopology = inner
    })
    await expect(convertTfjs(path)).rejects.toThrow('deeper than 32')
  })

  it('refuses a recurrence whose weights have another size', async () => {
    const net = tf.sequential({ layers: [layers.lstm({ units: 3, inputShape: [4, 2] })] })
    const path = await saveLayers(net)
    const json = JSON.parse(readFileSync(path, 'utf8'))
    layer(json).config.units = 4
    writeFileSync(path, JSON.stringify(json))
    await expect(convertTfjs(path)).rejects.toThrow('kernel of 2x12')
  })

  it('refuses a kernel with an axis too few', async () => {
    const convolution = layers.conv2d({ filters: 3, kernelSize: 3, inputShape: [4, 4, 2] })
    const path = await saveLayers(tf.sequential({ layers: [convolution] }))
    const json = JSON.parse(readFileSync(path, 'utf8'))
    manifest(json).weights[0].shape = [9, 2, 3]
    writeFileSync(path, JSON.stringify(json))
    await expect(convertTfjs(path)).rejects.toThrow(/axes|unknown size/)
  })

  it.each([
    ['no JSON', '{', 'no JSON'],
    ['an empty file', '', 'no JSON'],
    ['another JSON', '{"name":"x"}', 'no model of TensorFlow.js'],
  ])('refuses %s', async (_, content, message) => {
    const path = join(newFolder(), 'model.json')
    writeFileSync(path, content)
    await expect(convertTfjs(path)).rejects.toThrow(message)
  })
})

describe('what a graph may say', () => {
  const relu = { name: 'y', op: 'Relu', input: ['x'] }
  const x = { shape: [-1, 4] }

  it('names every operator that is missing, once, in one line', async () => {
    const nodes = [
      { name: 'a', op: 'While', input: ['x'] },
      { name: 'b', op: 'NonMaxSuppressionV5', input: ['a'] },
      { name: 'c', op: 'While', input: ['b'] },
    ]
    await expect(convertTfjs(saveGraph({ inputs: { x }, nodes }))).rejects.toThrow(
      /: operators that are not converted: While \('a'\), NonMaxSuppressionV5 \('b'\) — [^\n]*$/,
    )
  })

  it('does not mind operators that no output needs', async () => {
    const nodes = [relu, { name: 'noise', op: 'RandomUniform', input: ['x'] }]
    const model = await convertTfjs(saveGraph({ inputs: { x }, nodes, outputs: { y: 'y:0' } }))
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Relu'])
  })

  it.each([
    [
      'a circle',
      [
        { name: 'y', op: 'Add', input: ['x', 'z'] },
        { name: 'z', op: 'Relu', input: ['y'] },
        { name: 'w', op: 'Relu', input: ['z'] },
      ],
      'in a circle',
    ],
    ['an input that is nowhere', [{ name: 'y', op: 'Relu', input: ['gone'] }], "no node 'gone'"],
    ['an input too few', [{ name: 'y', op: 'Add', input: ['x'] }], 'has no input 1'],
    ['an operator without inputs', [{ name: 'y', op: 'Relu' }], 'has no input 0'],
    [
      'an output that a node does not have',
      [relu, { name: 'z', op: 'Relu', input: ['y:3'] }],
      "no output 'y:3'",
    ],
    [
      'an operator named as what every object has',
      [{ name: 'y', op: 'constructor', input: ['x'] }],
      'constructor',
    ],
    [
      'a shape that data decide',
      [
        { name: 'y', op: 'Mean', input: ['x', 'axis'] },
        { name: 'axis', op: 'Cast', input: ['x'], attr: { DstT: attr.type('DT_INT32') } },
      ],
      'depend on data',
    ],
  ] as const)('refuses %s', async (_, nodes, message) => {
    // biome-ignore format: a table
    await expect(convertTfjs(saveGraph({ inputs: { x }, nodes }))).rejects.toThrow(message)
  })

  it('refuses channels first, which TensorFlow.js does not run', async () => {
    const options = { data_format: attr.s('NCHW'), strides: attr.ints([1, 1, 1, 1]) }
    const nodes = [{ name: 'y', op: 'Conv2D', input: ['image', 'kernel'], attr: options }]
    const inputs = { image: { shape: [-1, 3, 8, 8] } }
    const constants = { kernel: floats([3, 3, 3, 4]) }
    await expect(convertTfjs(saveGraph({ inputs, constants, nodes }))).rejects.toThrow(
      "Conv2D 'y': not converted: channels first",
    )
  })

  it.each([
    ['parts that do not fit', 'Split', ['ax', 'x'], { num_split: attr.i(3) }],
    ['pads of too few axes', 'Pad', ['x', 'ax'], {}],
  ])('refuses %s', async (_, op, input, options) => {
    const nodes = [{ name: 'y', op, input, attr: options }]
    const fixture = { inputs: { x }, constants: { ax: ints(1) }, nodes }
    await expect(convertTfjs(saveGraph(fixture))).rejects.toThrow('no whole number')
  })

  it('refuses names of several lines, and shows no such text', async () => {
    const named = [{ name: 'y\nz', op: 'Relu', input: ['x'] }]
    await expect(convertTfjs(saveGraph({ inputs: { x }, nodes: named }))).rejects.toThrow(
      'expected a name',
    )
    const nodes = [
      { name: 'y', op: 'MirrorPad', input: ['x', 'p'], attr: { mode: attr.s('a\nb') } },
    ]
    const constants = { p: { ...ints([0, 0, 1, 1]), shape: [2, 2] } }
    await expect(convertTfjs(saveGraph({ inputs: { x }, constants, nodes }))).rejects.toThrow(
      "mode 'a?b'",
    )
  })

  it('refuses an input of unknown rank', async () => {
    const path = saveGraph({ inputs: { x }, nodes: [relu] })
    const json = JSON.parse(readFileSync(path, 'utf8'))
    json.modelTopology.node[0].attr.shape = { shape: { unknownRank: true } }
    writeFileSync(path, JSON.stringify(json))
    await expect(convertTfjs(path)).rejects.toThrow('no known number of axes')
  })

  it('refuses an attribute of another kind', async () => {
    const nodes = [{ name: 'y', op: 'LeakyRelu', input: ['x'], attr: { alpha: { f: 'much' } } }]
    await expect(convertTfjs(saveGraph({ inputs: { x }, nodes }))).rejects.toThrow(
      "node 'y': attribute alpha",
    )
  })

  it('refuses a fused operation that it does not know', async () => {
    const nodes = [
      {
        name: 'y',
        op: '_FusedMatMul',
        input: ['x', 'w'],
        attr: { fused_ops: attr.texts(['Magic']) },
      },
    ]
    const constants = { w: floats([4, 2]), unused: ints(1) }
    await expect(convertTfjs(saveGraph({ inputs: { x }, constants, nodes }))).rejects.toThrow(
      "_FusedMatMul 'y': not converted: fused magic",
    )
  })
})

describe('isTfjs', () => {
  it('knows a model.json from other files', async () => {
    const folder = newFolder()
    const other = join(folder, 'config.json')
    writeFileSync(other, '{"model_type":"bert"}')
    const broken = join(folder, 'broken.json')
    writeFileSync(broken, '{')
    mkdirSync(join(folder, 'folder.json'))
    expect(isTfjs(await changed(() => undefined))).toBe(true)
    expect(isTfjs(other)).toBe(false)
    expect(isTfjs(broken)).toBe(false)
    expect(isTfjs(join(folder, 'folder.json'))).toBe(false)
    expect(isTfjs(join(folder, 'gone.json'))).toBe(false)
    expect(isTfjs('model.onnx')).toBe(false)
  })
})
