// What quantization costs where: one layer alone quantized, and all but one.
import type { Model } from '../../onnx/graph.ts'
import type { StageContext } from '../stage.ts'
import { type Damage, type Judge, openJudge, type Trials } from './trials.ts'

/** A layer, and what quantization does there. */
export interface LayerSensitivity {
  readonly name: string
  readonly opType: string
  /** With this layer alone quantized. */
  readonly alone: Damage
  /** With all quantized but this layer. */
  readonly off: Damage
}

/** What quantization costs a model, layer by layer. */
export interface QuantizationSensitivity {
  /** The task's main figure and what the float model has of it. */
  readonly metric: string
  readonly score: number
  readonly samples: number
  readonly split: Judge['samples']['split']
  /** With everything quantized. */
  readonly whole: Damage
  readonly rows: readonly LayerSensitivity[]
}

/** Measures a model layer by layer, by trials; what was measured before is not measured again. */
export async function measureQuantization(
  float: Model,
  trials: Trials,
  context: StageContext,
  where: string,
): Promise<QuantizationSensitivity> {
  const { log, progress } = context
  const judge = await openJudge(float, context, where, 'figure')
  const { candidates } = trials
  const whole = await judge.judge(await trials.without([]))
  const rows: LayerSensitivity[] = []
  for (const [index, candidate] of candidates.entries()) {
    progress({ done: index / candidates.length })
    const off = await judge.judge(await trials.without([candidate]))
    rows.push({
      name: candidate.name,
      opType: candidate.opType,
      alone: await judgeAlone(judge, trials, candidate),
      off,
    })
  }
  const { count, split } = judge.samples
  log(`sensitivity: ${candidates.length} layers on ${count} ${split} samples`)
  const { metric, score } = judge.figure ?? { metric: 'accuracy', score: 1 }
  return { metric, score, samples: count, split, whole, rows }
}

/** Judges a model of which one candidate alone is quantized. */
async function judgeAlone(
  judge: Judge,
  trials: Trials,
  candidate: Trials['candidates'][number],
): Promise<Damage> {
  const others = trials.candidates.filter((each) => each !== candidate)
  return await judge.judge(await trials.without(others))
}
