import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { type DataType, elements, numbers, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { openSession, withSession } from '../../runtime/session.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

const mnist = sharedModel('mnist-8-ortweb.onnx')

/** y = x * x + state, and the next state = y. */
function accumulator(): Model {
  const { model, g } = newModel('accumulator')
  const type = { dtype: 'float32', shape: ['N', 2] } as const
  const x = g.input('x', type)
  const state = g.input('state', type)
  g.output('next', g.Add(g.Mul(x, x), state), type)
  return model
}

const identity = (dtype: DataType): Model => {
  const { model, g } = newModel('identity')
  const x = g.input('x', { dtype, shape: ['N'] })
  g.output('y', g.Identity(x), { dtype, shape: ['N'] })
  return model
}

describe.each(['cpu', 'wasm'] as const)('a session on %s', (provider) => {
  it('runs a graph and says what its inputs and outputs are', async () => {
    await withSession(accumulator(), { provider }, async (session) => {
      expect(session.inputs.map(({ name, dtype }) => [name, dtype])).toEqual([
        ['x', 'float32'],
        ['state', 'float32'],
      ])
      expect(session.outputs.map(({ shape }) => shape.length)).toEqual([2])
      const { next } = await session.run({
        x: tensorOf('float32', [1, 2], [2, 3]),
        state: tensorOf('float32', [1, 2], [10, 20]),
      })
      expect(numbers(next!)).toEqual([14, 29])
      expect(next!.dims).toEqual([1, 2])
    })
  })

  it('writes into given memory, also into that of an input', async () => {
    await withSession(accumulator(), { provider }, async (session) => {
      const x = tensorOf('float32', [1, 2], [2, 3])
      const memory = Float32Array.of(10, 20)
      const state = tensorOf('float32', [1, 2], memory)
      const results = await session.run({ x, state }, { next: state })
      expect(results.next).toBe(state)
      expect(memory).toEqual(Float32Array.of(14, 29))
    })
  })

  it('binds memory once and reads it again each time', async () => {
    await withSession(accumulator(), { provider }, async (session) => {
      const input = Float32Array.of(1, 2)
      const memory = new Float32Array(2)
      const state = tensorOf('float32', [1, 2], memory)
      const step = session.prepare(
        { x: tensorOf('float32', [1, 2], input), state },
        { next: state },
      )
      await step()
      expect(memory).toEqual(Float32Array.of(1, 4))
      input.set([3, 4])
      await step()
      await step()
      expect(memory).toEqual(Float32Array.of(19, 36))
    })
  })

  it('reads and writes parts of a larger memory', async () => {
    await withSession(accumulator(), { provider }, async (session) => {
      const memory = Float32Array.from({ length: 8 }, (_, index) => index)
      const part = (start: number) => tensorOf('float32', [1, 2], memory.subarray(start, start + 2))
      await session.prepare({ x: part(1), state: part(3) }, { next: part(5) })()
      expect(memory).toEqual(Float32Array.of(0, 1, 2, 3, 4, 1 + 3, 4 + 4, 7))
    })
  })

  it.each([
    ['bool', [1, 0, 1]],
    ['uint8', [0, 7, 255]],
    ['int8', [-128, 0, 127]],
    ['int32', [-5, 0, 5]],
    ['int64', [-(2 ** 40), 0, 2 ** 40]],
    ['float64', [0.1, 0.2, 0.3]],
  ] as const)('passes %s unchanged', async (dtype, values) => {
    const { y } = await withSession(identity(dtype), { provider }, (session) =>
      session.run({ x: tensorOf(dtype, [3], values) }),
    )
    expect(y!.dtype).toBe(dtype)
    expect(numbers(y!)).toEqual([...values])
  })

  it('passes float16 as bit patterns', async () => {
    const bits = Uint16Array.of(0x3c00, 0xc000, 0x0001)
    const { y } = await withSession(identity('float16'), { provider }, (session) =>
      session.run({ x: tensorOf('float16', [3], bits) }),
    )
    expect(elements(y!, 'float16')).toEqual(bits)
  })

  it('takes tensors whose bytes are not aligned', async () => {
    const bytes = new Uint8Array(13)
    bytes.set(new Uint8Array(Float32Array.of(1.5, 2.5, 3.5).buffer), 1)
    const { y } = await withSession(identity('float32'), { provider }, (session) =>
      session.run({ x: new Tensor('float32', [3], bytes.subarray(1)) }),
    )
    expect(numbers(y!)).toEqual([1.5, 2.5, 3.5])
  })

  it('runs an empty batch', async () => {
    const { y } = await withSession(identity('float32'), { provider }, (session) =>
      session.run({ x: tensorOf('float32', [0], []) }),
    )
    expect(y!.dims).toEqual([0])
  })
})

it('passes strings', async () => {
  const encoder = new TextEncoder()
  const strings = ['', 'Größe', 'x\ny'].map((text) => encoder.encode(text))
  const x = new Tensor('string', [3], new Uint8Array(0), { strings })
  const { y } = await withSession(identity('string'), {}, (session) => session.run({ x }))
  expect(y!.strings!.map((string) => new TextDecoder().decode(string))).toEqual([
    '',
    'Größe',
    'x\ny',
  ])
})

it('gives the outputs that are asked for by name alone', async () => {
  const { model, g } = newModel('two')
  const x = g.input('x', { dtype: 'float32', shape: [1] })
  g.output('a', g.Neg(x))
  g.output('b', g.Exp(x))
  const results = await withSession(model, {}, (session) =>
    session.run({ x: tensorOf('float32', [1], [0]) }, ['b']),
  )
  expect(Object.keys(results)).toEqual(['b'])
  expect(numbers(results.b!)).toEqual([1])
})

describe('a wrong call', () => {
  const good = tensorOf('float32', [1, 2], [1, 2])
  it.each([
    ['a missing input', { x: good }, undefined, "toy.onnx: input 'state' is missing — feed it"],
    [
      'an input that is not there',
      { x: good, state: good, y: good },
      undefined,
      "toy.onnx: has no input tensor of that name: 'y' — it has 'x', 'state'",
    ],
    [
      'an input of the wrong type',
      { x: tensorOf('int32', [1, 2], [1, 2]), state: good },
      undefined,
      "toy.onnx: input 'x' has the wrong type: int32 — the model has float32",
    ],
    [
      'an input of the wrong shape',
      { x: tensorOf('float32', [2, 1], [1, 2]), state: good },
      undefined,
      "toy.onnx: input 'x' has the wrong shape: [2,1] — the model has [N,2]",
    ],
    [
      'an output of the wrong shape',
      { x: good, state: good },
      { next: tensorOf('float32', [1], [1]) },
      "toy.onnx: output 'next' has the wrong shape: [1] — the model has [N,2]",
    ],
    [
      'an output that is not there',
      { x: good, state: good },
      ['z'],
      "toy.onnx: has no output tensor of that name: 'z' — it has 'next'",
    ],
  ])('with %s is refused in one line', async (_name, feeds, fetches, message) => {
    const run = withSession(accumulator(), { where: 'toy.onnx' }, (session) =>
      session.run(feeds as Record<string, Tensor>, fetches as readonly string[]),
    )
    await expect(run).rejects.toEqual(new UserError(message))
  })

  it('that only ONNX Runtime can find wrong is explained too', async () => {
    const feeds = {
      x: tensorOf('float32', [3, 2], [1, 2, 3, 4, 5, 6]),
      state: tensorOf('float32', [2, 2], [1, 2, 3, 4]),
    }
    const run = withSession(accumulator(), { where: 'toy.onnx' }, (session) => session.run(feeds))
    await expect(run).rejects.toThrow(
      /^toy\.onnx: ONNX Runtime stopped while running it: .*Add.* — check that the inputs fit/,
    )
  })

  it('of memory that cannot be bound is a bug', async () => {
    const odd = new Tensor('float32', [1, 2], new Uint8Array(9).subarray(1))
    await withSession(accumulator(), {}, async (session) => {
      expect(() => session.prepare({ x: good, state: good }, { next: odd })).toThrow(/^internal:/)
      expect(() => session.prepare({ x: odd, state: good }, { next: good })).toThrow(/^internal:/)
    })
  })
})

describe('a model that cannot be opened', () => {
  itWithShared.each(['cpu', 'wasm'] as const)(
    'because of opset 1 says so on %s',
    async (provider) => {
      const path = sharedModel('mnist-onnxmodels-2017.onnx')
      await expect(openSession(path, { provider })).rejects.toEqual(
        new UserError(
          `${path}: ONNX Runtime 1.30 cannot run it: Could not find an implementation for Add(1) node with name 'Plus30' — its opset is 1, the oldest that runs is 7: export the model again with opset 13 or newer`,
        ),
      )
    },
  )

  it('because it is not there says so', async () => {
    await expect(openSession('/nowhere/model.onnx')).rejects.toEqual(
      new UserError('/nowhere/model.onnx: no such file or folder — check the path'),
    )
  })

  it('because the file is empty, cut short or garbage says so', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'session-'))
    try {
      const path = join(folder, 'model.onnx')
      writeFileSync(path, '')
      await expect(openSession(path)).rejects.toThrow(`${path}: the file is empty — `)
      writeFileSync(path, 'this is no model')
      await expect(openSession(path)).rejects.toThrow('the file is no ONNX model or is damaged')
      await expect(openSession(folder)).rejects.toThrow(`${folder}: is no file — `)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('because of an unknown operator says so', async () => {
    const { model, g } = newModel('custom')
    model.opsets.set('com.example', 1)
    const x = g.input('x', { dtype: 'float32', shape: [1] })
    g.output('y', g.node('Magic', [x], { domain: 'com.example' })[0]!)
    await expect(openSession(model, { where: 'm.onnx' })).rejects.toThrow(
      /^m\.onnx: ONNX Runtime 1\.30 cannot run it: .*Magic.* — the model needs operators that stock ONNX Runtime does not have$/,
    )
  })

  it.each(['cuda', 'tensorrt', 'dml', 'coreml'] as const)(
    'because %s is not here says so',
    async (provider) => {
      await expect(openSession(accumulator(), { provider, where: 'm.onnx' })).rejects.toThrow(
        /^m\.onnx: .*`condense doctor` lists what is available and why$/,
      )
    },
  )
})

itWithShared('gives the same for a path, bytes and a provider of another package', async () => {
  const pixels = Float32Array.from({ length: 784 }, (_, index) => (index * 37) % 256)
  const feeds = { Input3: tensorOf('float32', [1, 1, 28, 28], pixels) }
  const results = await Promise.all([
    withSession(mnist, {}, (session) => session.run(feeds)),
    withSession(new Uint8Array(readFileSync(mnist)), { threads: 2, spinning: true }, (session) =>
      session.run(feeds),
    ),
    withSession(mnist, { provider: 'wasm' }, (session) => session.run(feeds)),
  ])
  const [path, bytes, wasm] = results.map((result) => numbers(result.Plus214_Output_0!))
  expect(bytes).toEqual(path)
  for (const [index, logit] of path!.entries()) expect(wasm![index]).toBeCloseTo(logit, 1)
})

it('refuses another number of WebAssembly threads in the same process', async () => {
  await withSession(accumulator(), { provider: 'wasm' }, async () => undefined)
  await expect(openSession(accumulator(), { provider: 'wasm', threads: 2 })).rejects.toThrow(
    "provider 'wasm': the thread pool of this process has 1 threads: 2 asked for — use another process",
  )
})
