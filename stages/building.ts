// For which data an architecture is built: its inputs are the columns, its outputs what is to be predicted.
import type { Dataset } from '../data/dataset.ts'
import type { ModelShape } from '../models/layers.ts'
import type { Model } from '../onnx/graph.ts'
import type { Task } from '../tasks/task.ts'

/** What a student is built from. */
export interface Building extends ModelShape {
  readonly seed: number
  /** The model whose narrower or shallower copy a student may be. */
  readonly teacher: Model
  /** Told what such a copy leaves out. */
  readonly log?: ((line: string) => void) | undefined
}

/** The shape that a model for this data and task has. */
export function buildingFor(
  data: Dataset,
  { task, teacher, seed, log }: Omit<Building, keyof ModelShape> & { readonly task: Task },
): Building {
  return { ...shapeFor(data, task, teacher), seed, teacher, log }
}

/** Inputs and outputs of a model for this data; where the task has no targets, outputs are those of the teacher. */
export function shapeFor(data: Dataset, task: Task, teacher?: Model): ModelShape {
  const { columns, inputs = {}, classes, targetWidth } = data
  const given = columns.filter(({ name }) => !/\.(raw|planes)$/.test(name))
  // A column goes by the name of the input that it is mapped to, the only main one by `input`, and what belongs to it
  // (a text's attention_mask) by that.
  const mapped = new Map(
    Object.entries(inputs).flatMap(([name, source]) =>
      'column' in source ? [[source.column, name] as const] : [],
    ),
  )
  const main = given.filter(({ name }) => !name.includes('.'))
  const nameOf = (column: string) => {
    const [, suffix] = column.split('.')
    return mapped.get(column) ?? suffix ?? (main.length === 1 ? 'input' : column)
  }
  const known = given.map(({ name, dtype, shape, ids }) => ({
    name: nameOf(name),
    dtype: dtype === 'float32' ? ('float32' as const) : ('int64' as const),
    shape,
    ...(ids !== undefined && { ids }),
  }))
  const counted = {
    class: { outputs: classes.length },
    tags: { outputs: classes.length, positions: targetWidth },
    classes: { outputs: targetWidth },
    values: { outputs: targetWidth },
    relevance: { outputs: 1 },
    none: { outputs: widthOf(teacher) },
  } as const
  // Where any width will do (embeddings), it is the teacher's.
  const outputs = task.width(data) === undefined ? { outputs: widthOf(teacher) } : undefined
  return { inputs: known, ...(outputs ?? counted[task.target]) }
}

/** The width of an output that nothing decides: of embeddings, by default. */
const defaultWidth = 64

/** Numbers a sample of a model's first output, as far as its file says. */
function widthOf(model: Model | undefined): number {
  if (!model) return defaultWidth
  const shape = model.graph.outputs[0]?.type?.shape?.slice(1) ?? []
  return shape.reduce<number>((size, dim) => size * (typeof dim === 'number' ? dim : 1), 1)
}
