// A whole distillation with a transfer set of its own.
import { describe, expect, it } from '@jest/globals'
import { subset } from '../../../data/subset.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { predict } from '../../../runtime/predict.ts'
import { distill } from '../../../stages/distill/index.ts'
import { classes, contextOf, data, shape } from '../support.ts'

/** Says which quarter of an image is bright. */
function quarters(): Model {
  const { model, g } = newModel('quarters')
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  const masks = Float32Array.from({ length: 256 }, (_, at) => {
    const [pixel, label] = [Math.floor(at / 4), at % 4]
    return (pixel >> 5) * 2 + ((pixel >> 2) & 1) === label ? 0.25 : 0
  })
  const logits = g.MatMul(g.Flatten(x), tensorOf('float32', [64, 4], masks))
  g.output('y', logits, { dtype: 'float32', shape: ['N', 4] })
  return model
}

const student = buildArchitecture(
  { architecture: 'mlp', hidden: [8] },
  { ...oneInput(shape, classes), seed: 3 },
)

const distilled = (options: object, splits = data) => {
  const { context, messages } = contextOf(quarters())
  const parsed = distill.options.parse({
    ...{ stage: 'distill', epochs: 6, batch: 16 },
    optimizer: { name: 'adamw', rate: 0.01 },
    ...options,
  })
  const done = distill.run({ model: student, facts: {} }, parsed, { ...context, data: splits })
  return { done, messages }
}

/** The share of test samples of a class, or of all, that a model gets right. */
async function right(model: Model, wanted?: number): Promise<number> {
  const answers = await predict(model, data.test)
  const asked = [...data.test.labels.entries()].filter(
    ([, label]) => wanted === undefined || label === wanted,
  )
  const hits = asked.filter(([index, label]) => {
    const row = [...answers.row(index)]
    return row.indexOf(Math.max(...row)) === label
  })
  return hits.length / asked.length
}

describe('distillation with a transfer set', () => {
  it('of few samples with labels learns from more without, mixed or not', async () => {
    const few = subset(
      data.train,
      Uint32Array.from({ length: 16 }, (_, index) => index),
    )
    const more = subset(
      data.train,
      Uint32Array.from({ length: 240 }, (_, index) => 16 + index),
    )
    const splits = { ...data, train: few, unlabelled: more }
    const alone = await distilled({}, splits).done
    for (const augment of [undefined, { mixup: 0.2 }]) {
      const { model, facts } = await distilled({ augment, transfer: { unlabelled: true } }, splits)
        .done
      expect(facts.summary).toMatch(/^taught with 256 of 256 samples, 240 without labels; /)
      for (const { loss } of facts.epochs!) expect(Number.isFinite(loss)).toBe(true)
      expect(await right(model)).toBeGreaterThan(await right(alone.model))
    }
  })

  it('says a class that it was never shown once its bias is corrected', async () => {
    const transfer = { select: [{ without: ['d'] }] }
    const losses = [{ loss: 'kl', temperature: 2 }]
    const plain = await distilled({ transfer, losses }).done
    const { model, facts } = await distilled({ transfer, losses, bias: { classes: ['d'] } }).done
    expect(facts.summary).toMatch(/without 'd'.*; added to the logits: \+\d+\.\d\d to 'd'$/)
    expect(await right(model, 3)).toBeGreaterThan(await right(plain.model, 3))
    expect(await right(model)).toBeGreaterThan(0.9)
  })

  it('needs no label where it is told that there are none', async () => {
    const unknown = {
      ...data,
      train: subset(
        data.train,
        Uint32Array.from({ length: 96 }, (_, at) => at),
      ),
    }
    unknown.train.labels.fill(0)
    const { model } = await distilled(
      { transfer: { labels: false, select: ['balanced'] }, losses: [{ loss: 'kl' }] },
      unknown,
    ).done
    expect(await right(model)).toBeGreaterThan(0.9)
  })
})
