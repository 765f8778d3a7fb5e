import { expect, it } from '@jest/globals'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { inferShapes } from '../../../runtime/shapes.ts'
import { train } from '../../../train/loop.ts'
import { wholeGraph } from '../../../train/training-graph.ts'
import { standard } from '../../../train/lowerings/standard.ts'
import { optimizerOptions } from '../../../train/options.ts'
import { parsed } from '../loss-harness.ts'

const [classes, batch, samples] = [10, 128, 20000]
const net = () => buildArchitecture({ architecture: 'mlp', hidden: [64] }, { ...oneInput([64], classes), seed: 1 })
it('crd', async () => {
  const model = net()
  await inferShapes(model)
  const name = model.graph.nodes.find(({ opType }) => opType === 'Relu')!.output().name
  const fill = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i))
  const answers = [fill(batch * 10), fill(batch * 64)]
  const images = fill(batch * 64)
  const taps = [{ teacher: 't', student: name }]
  const taught = { outputs: 1, taps: [{ name: 't', shape: [64] }] }
  const whole = await wholeGraph({ model: net(), forward: { batch, samples, losses: parsed([{ loss: 'crd', taps }]), freeze: [], batchStatistics: true, dropout: false, taught, sample: [64] } as never, update: { optimizer: optimizerOptions.parse({ name: 'sgd', rate: 1e-3 }) } as never }, 'update', standard)
  console.log([...whole.inPlace].join(), Object.keys(whole.vectors).join())
  const run = async (term: object, stepsPerEpoch = 30) => {
    let start = 0
    const times: number[] = []
    const batches = function* () {
      for (let i = 0; i < stepsPerEpoch; i++) {
        const now = performance.now()
        if (i > 5) times.push(now - start)
        start = now
        yield { inputs: [images], labels: new Int32Array(batch), size: batch, indices: Uint32Array.from({ length: batch }, (_, k) => (k * 131 + i * 977) % samples) }
      }
    }
    await train(net(), {
      options: { epochs: 1, batch, optimizer: optimizerOptions.parse({ name: 'sgd', rate: 1e-3 }), schedule: 'constant', freeze: [] },
      losses: parsed([{ loss: 'kl' }, term]), classes, batches, stepsPerEpoch, sample: [64],
      validate: async () => 1, seed: 1, threads: 2, provider: 'cpu', taught, samples, teacher: () => answers,
    } as never)
    times.sort((a, b) => a - b)
    return times[times.length >> 2]!
  }
  const out: string[] = []
  for (const term of [{ loss: 'kl' }, { loss: 'crd', taps }, { loss: 'crd', taps, form: 'info-nce' }, { loss: 'feature', taps }])
    out.push(`${JSON.stringify(term)} ${(await run(term)).toFixed(1)}`)
  console.log(out.join('\n'))
  expect(1).toBe(1)
}, 600000)
