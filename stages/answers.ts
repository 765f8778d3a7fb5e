// What a model answers, on the scale of the task: figures are made of that.
import type { Samples } from '../base/samples.ts'
import type { Model } from '../onnx/graph.ts'
import { type PredictOptions, predict } from '../runtime/predict.ts'
import type { Predictions } from '../tasks/task.ts'
import type { StageContext } from './stage.ts'

/** Runs a model on samples and puts its answers on the scale of the task; `where` is what messages call it. */
export async function answersOf(
  model: Model,
  samples: Samples,
  {
    task,
    threads,
    provider,
    signal,
  }: Pick<StageContext, 'task' | 'threads' | 'provider' | 'signal'>,
  options: Pick<PredictOptions, 'outputs' | 'where'>,
): Promise<Predictions> {
  const answers = await predict(model, samples, { threads, provider, signal, ...options })
  return task.normaliser(model.graph)(answers)
}
