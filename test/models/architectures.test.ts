import { describe, expect, it } from '@jest/globals'
import { sha256 } from '../../base/hash.ts'
import {
  type ArchitectureOptions,
  architectureOptions,
  architectures,
  buildArchitecture,
} from '../../models/index.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'

const parse = (options: object): ArchitectureOptions => architectureOptions.parse(options)
const statistics = /\.(mean|var)$/

/** Trainable numbers: running statistics are not. */
const parameters = (model: Model): number =>
  [...model.graph.initializers]
    .filter((value) => !statistics.test(value.name))
    .reduce((sum, value) => sum + (value.tensor?.size ?? 0), 0)

it('has the literal of each schema as its key', () => {
  const literals = Object.values(architectures).map((row) => row.options.shape.architecture.value)
  expect(literals).toEqual(Object.keys(architectures))
})

describe.each([
  // Counts worked out by hand from the papers' tables.
  [{ architecture: 'mlp', hidden: [64] }, [1, 28, 28], 784 * 64 + 64 + 640 + 10],
  [{ architecture: 'mlp', hidden: [] }, [12], 12 * 10 + 10],
  [{ architecture: 'lenet', channels: [8, 16], hidden: [24] }, [1, 28, 28], 22_514],
  // ResNet-20 of He et al.: 0.27 M.
  [{ architecture: 'resnet', depth: 20, width: 16 }, [3, 32, 32], 272_474],
  [{ architecture: 'resnet', depth: 8, width: 32 }, [1, 28, 28], 308_074],
  [{ architecture: 'resnet', depth: 8, width: 3 }, [1, 9, 7], undefined],
  [{ architecture: 'mobilenet', width: 0.25 }, [3, 32, 32], undefined],
] as const)('%j on %j', (options, shape, count) => {
  const build = (seed: number) => buildArchitecture(parse(options), { shape, classes: 10, seed })

  it('runs for any batch and gives finite logits', async () => {
    await withSession(build(1), {}, async (session) => {
      for (const batch of [1, 3]) {
        const size = shape.reduce((a, b) => a * b, batch)
        const input = tensorOf('float32', [batch, ...shape], new Float32Array(size).fill(0.5))
        const { logits } = await session.run({ input })
        expect(logits?.dims).toEqual([batch, 10])
        const values = new Float32Array(logits!.bytes.slice().buffer)
        expect(values.every((value) => Number.isFinite(value) && Math.abs(value) < 100)).toBe(true)
      }
    })
  })

  it('has the parameters that its options say', () => {
    if (count !== undefined) expect(parameters(build(1))).toBe(count)
    expect(parameters(build(1))).toBeGreaterThan(0)
  })

  it('depends on the seed alone', () => {
    const hash = (seed: number) => sha256(serializeModel(build(seed)))
    expect(hash(1)).toBe(hash(1))
    expect(hash(1)).not.toBe(hash(2))
  })
})

it('spends little on names and structure', () => {
  const model = buildArchitecture(parse({ architecture: 'resnet', depth: 8, width: 8 }), {
    shape: [1, 28, 28],
    classes: 10,
    seed: 1,
  })
  const weights = [...model.graph.initializers].reduce((sum, v) => sum + v.tensor!.byteLength, 0)
  expect(serializeModel(model).length - weights).toBeLessThan(6000)
})

it.each([
  [{ architecture: 'resnet', depth: 9 }, '6n+2'],
  [{ architecture: 'lenet', channels: [8] }, 'channels'],
])('refuses %j', (options, message) => {
  expect(() => parse(options)).toThrow(message)
})

it.each([
  [{ architecture: 'lenet' }, [10], "takes images [C,H,W]: the data has [10] — use 'mlp'"],
  [{ architecture: 'lenet' }, [1, 3, 8], 'takes images of at least 4x4'],
] as const)('says that %j does not take samples of %j', (options, shape, message) => {
  expect(() => buildArchitecture(parse(options), { shape, classes: 2, seed: 0 })).toThrow(message)
})
