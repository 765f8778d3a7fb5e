import { it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { inferShapes } from '../../../runtime/shapes.ts'
import { backward } from '../../../train/backward.ts'
import { lossContext } from '../../../train/loss-context.ts'
import { writeLoss } from '../../../train/losses.ts'
import { standard } from '../../../train/lowerings/standard.ts'
import { shapeOf } from '../../../train/rule.ts'
import { parsed } from '../loss-harness.ts'
import { writeFileSync } from 'node:fs'

const N = 128
const shapes = [[N, 16, 32, 32], [N, 32, 16, 16], [N, 64, 8, 8]]
const cases: [string, object, number[][], number[][]][] = [
  ['feature', {}, shapes, shapes],
  ['feature conv', { loss: 'feature', connector: 'conv' }, shapes, shapes],
  ['feature linear', { loss: 'feature', connector: 'linear' }, shapes, shapes],
  ['feature projection', { loss: 'feature', connector: 'projection' }, shapes, shapes],
  ['feature pool', { loss: 'feature', connector: 'pool' }, [[N,64,16,16]], [[N,64,8,8]]],
  ['feature interpolate down', { loss: 'feature', connector: 'interpolate' }, [[N,64,16,16]], [[N,64,7,7]]],
  ['feature interpolate up', { loss: 'feature', connector: 'interpolate' }, [[N,64,8,8]], [[N,64,16,16]]],
  ...['attention-transfer', 'fsp', 'similarity', 'correlation', 'pkt', 'relational', 'nst', 'activation-boundary', 'cwd'].map((l) => [l, {}, shapes, shapes] as [string, object, number[][], number[][]]),
  ['relational 1 tap', { loss: 'relational' }, [[N, 64]], [[N, 64]]],
  ['relational no angle', { loss: 'relational', angle: 0 }, shapes, shapes],
  ['nst gaussian', { loss: 'nst', kernel: 'gaussian' }, shapes, shapes],
  ['nst linear', { loss: 'nst', kernel: 'linear' }, shapes, shapes],
]
it('times', async () => {
  const lines: string[] = []
  for (const [title, options, own, theirs] of cases) {
    if (title.startsWith('feature') || ['cwd','activation-boundary','attention-transfer'].includes(title)) continue
    const { model, g } = newModel('loss')
    const values = own.map((shape, i) => g.input(`s${i}`, { dtype: 'float32', shape }))
    const { context, parts } = lossContext(g, { inputs: values.slice(0, 1), outputs: values.slice(0, 1), taps: new Map(values.map((v) => [v.name, v])) },
      { batch: N, where: 'x', taught: { outputs: 0, taps: theirs.map((s, i) => ({ name: `t${i}`, shape: s.slice(1) })) } })
    const { loss } = await writeLoss(g, context, parsed([{ loss: title, taps: own.map((_, i) => ({ teacher: `t${i}`, student: `s${i}` })), ...options }]))
    lines.push(title + ' ' + loss.name + ' ' + loss.producer?.opType + JSON.stringify(loss.type)); writeFileSync('/tmp/plan/times5c.txt', lines.join('\n')); g.graph.outputs.push(loss)
    await inferShapes(model)
    const { parameters, inputs, detached } = parts()
    const wanted = [...values, ...parameters]
    const found = backward(g, loss, new Set(wanted), standard, { detached })
    // small outputs: sums of gradients
    for (const v of wanted) if (found.get(v)) g.output(`g${v.name}`, g.ReduceMax(found.get(v)!, { keepdims: 0 }))
    const feeds: any = {}
    for (const v of [...values, ...inputs.teacher.values()]) { const s = shapeOf(v); feeds[v.name] = tensorOf('float32', s, Float32Array.from({ length: s.reduce((a, b) => a * b, 1) }, (_, i) => Math.max(0, Math.sin(i * 12.9898 + v.name.length) * 1.3))) }
    await withSession(model, { threads: 1 }, async (session) => {
      await session.run(feeds); await session.run(feeds)
      const times = []
      for (let i = 0; i < 3; i++) { const t = process.cpuUsage(); await session.run(feeds); const u = process.cpuUsage(t); times.push((u.user + u.system) / 1000) }
      times.sort((a, b) => a - b)
      lines.push(`${title}: nodes ${g.graph.nodes.length} median ${times[1]!.toFixed(1)} min ${times[0]!.toFixed(1)} ms`)
    })
  }
  writeFileSync('/tmp/plan/times5c.txt', lines.join('\n'))
}, 600000)
