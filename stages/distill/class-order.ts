// The order of classes: models that state their names in another order than the data answer, and learn, in the data's.
import type { Dataset } from '../../data/dataset.ts'
import { statedClasses, withClasses } from '../../models/class-names.ts'
import type { Model } from '../../onnx/graph.ts'
import { type Predictions as Answers, predict } from '../../runtime/predict.ts'
import type { Predictions } from '../../tasks/task.ts'
import type { StageContext } from '../stage.ts'
import { orderOfClasses, reorder } from '../teaching/label-order.ts'
import { reorderLogits } from './shift-logits.ts'

/** Runs a model on samples: its answers on the scale of the task, its classes in the order of the data's. */
export async function answersInOrder(
  model: Model,
  samples: Dataset,
  context: StageContext,
  where: string,
): Promise<Predictions> {
  const { task, threads, provider, signal } = context
  const options = { threads, provider, signal, where, outputs: task.outputs }
  return settlerOf(model, samples, context, where)(await predict(model, samples, options))
}

/** Puts a model's answers on the scale of the task, and its classes into the order of the data's. */
export function settlerOf(
  model: Model,
  { classes }: Pick<Dataset, 'classes'>,
  { task }: StageContext,
  where: string,
): (answers: Answers) => Predictions {
  const normalise = task.normaliser(model.graph)
  const order =
    task.target === 'class' ? orderOfClasses(statedClasses(model), classes, where) : undefined
  return (answers) => {
    if (order && answers.width === order.length) reorder(answers.outputs, order)
    return normalise(answers)
  }
}

/**
 * A model that is to learn, with its classes in the order of the data's: one that states them in another order has its
 * logits put into that one. A model of other classes is a `UserError`.
 */
export function learnerInOrder(
  model: Model,
  { classes }: Pick<Dataset, 'classes'>,
  { task, log }: Pick<StageContext, 'task' | 'log'>,
  where: string,
): Model {
  if (classes.length === 0 || (task.target !== 'class' && task.target !== 'tags')) return model
  const order = orderOfClasses(statedClasses(model), classes, where, 'a student')
  if (!order) return model
  log(`${where}: its classes are put into the order of the data's, by name`)
  return withClasses(reorderLogits(model, order), classes)
}
