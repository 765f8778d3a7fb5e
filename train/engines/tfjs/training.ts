// A training step by TensorFlow.js: its own differentiation of the forward graph, then the optimizer's update.
import { setImmediate } from 'node:timers/promises'
import { UserError } from '../../../base/errors.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { Tensor } from '../../../onnx/tensor.ts'
import type { Runner } from '../engine.ts'
import { type Interpreted, interpret } from './interpret.ts'
import { loadTensorFlow, type Tf, type TfBackend, type TfTensor, use } from './tensorflow.ts'
import { toTf, writeInto } from './values.ts'

/** How a runner is opened. */
export interface TfjsOptions {
  /** What computes: the native library where it can be had, unless told. */
  readonly backend?: TfBackend | undefined
  /** Hears in one line what computes. */
  readonly log?: ((line: string) => void) | undefined
  /** What error messages call the model. */
  readonly where?: string | undefined
}

/** Something that is ready to run. */
export interface TfjsRunner extends Runner {
  /** What computes. */
  readonly backend: TfBackend
}

/** The name under which both graphs know the flat vector of all weights, and its gradient. */
const weightsName = 'weights'
const gradientName = 'gradient'

/**
 * Opens a training step.
 *
 * `forward` gives the scalar `loss` (and further values, such as `batch_statistics`) from `weights` and what else it
 * needs; `tail` gives the next vectors from `weights`, `gradient`, what `forward` gives and what else it needs. Feeds
 * are the inputs of both but for what `forward` gives and `gradient`; fetches are outputs of either, or `gradient`. An
 * operator that the engine does not have is a {@link UserError}.
 */
export async function openTfjsTraining(
  forward: Model,
  tail: Model,
  options: TfjsOptions = {},
): Promise<TfjsRunner> {
  const { where = 'model', log } = options
  const { tf, backend } = await loadTensorFlow(options.backend)
  const [loss, next] = [interpret(forward, tf, where), interpret(tail, tf, where)]
  log?.(`engine tfjs: ${descriptions[backend]} (TensorFlow.js ${tf.version_core})`)
  const made = [gradientName, ...names(forward.graph.outputs)]
  const wanted = [...names(forward.graph.feeds), ...names(tail.graph.feeds)]
  return runner(tf, backend, {
    where,
    feeds: new Set(wanted.filter((name) => !made.includes(name))),
    fetches: new Set([...made, ...names(tail.graph.outputs)]),
    compute: (inputs) => step(tf, loss, next, inputs),
    dispose() {
      loss.dispose()
      next.dispose()
    },
  })
}

/** Opens a graph without differentiating it, such as the update by a gradient that is fed. */
export async function openTfjsGraph(model: Model, options: TfjsOptions = {}): Promise<TfjsRunner> {
  const { where = 'model' } = options
  const { tf, backend } = await loadTensorFlow(options.backend)
  const interpreted = interpret(model, tf, where)
  return runner(tf, backend, {
    where,
    feeds: new Set(names(model.graph.feeds)),
    fetches: new Set(names(model.graph.outputs)),
    compute: (inputs) => interpreted.run(inputs),
    dispose: () => interpreted.dispose(),
  })
}

const names = (values: readonly Value[]): string[] => values.map((value) => value.name)

type Tensors = Record<string, TfTensor>

/** What a runner computes, between names that it knows. */
interface Computation {
  readonly where: string
  readonly feeds: ReadonlySet<string>
  readonly fetches: ReadonlySet<string>
  /** Called within `tf.tidy`. */
  readonly compute: (inputs: Tensors) => Tensors
  readonly dispose: () => void
}

function runner(tf: Tf, backend: TfBackend, computation: Computation): TfjsRunner {
  const { where, compute } = computation
  return {
    backend,
    prepare(feeds, fetches) {
      checkNames(where, 'input', computation.feeds, Object.keys(feeds))
      checkNames(where, 'output', computation.fetches, Object.keys(fetches))
      for (const name of computation.feeds)
        if (!feeds[name]) throw new UserError(`${where}: input '${name}' is missing — feed it`)
      return async () => {
        await use(tf, backend)
        tf.tidy(() => {
          const inputs = Object.entries(feeds).map(([name, tensor]) => [
            name,
            toTf(tf, copyOf(tensor), where),
          ])
          const results = compute(Object.fromEntries(inputs))
          for (const [name, target] of Object.entries(fetches))
            fetch(name, target, results[name]!, where)
        })
        // A step blocks; between two of them others have their turn.
        await setImmediate()
      }
    },
    async dispose() {
      computation.dispose()
    },
  }
}

// TensorFlow.js may go on reading the memory that it is given, into which results are written.
const copyOf = ({ dtype, dims, bytes }: Tensor): Tensor => new Tensor(dtype, dims, bytes.slice())

const descriptions: Readonly<Record<TfBackend, string>> = {
  cpu: 'plain JavaScript, which is slow',
  tensorflow: 'native library',
}

/** The forward pass with its gradient, then the tail. */
function step(tf: Tf, forward: Interpreted, tail: Interpreted, inputs: Tensors): Tensors {
  const kept: Tensors = {}
  const { value, grads } = tf.valueAndGrads((weights) => {
    const { loss, ...rest } = forward.run({ ...inputs, [weightsName]: weights as TfTensor })
    // They would be freed at the end of this function.
    for (const [name, tensor] of Object.entries(rest)) kept[name] = tf.keep(tf.clone(tensor))
    return tf.reshape(loss!, [])
  })([inputs[weightsName]!])
  const known: Tensors = { loss: value as TfTensor, [gradientName]: grads[0]! }
  for (const [name, tensor] of Object.entries(kept)) {
    known[name] = tf.clone(tensor)
    tensor.dispose()
  }
  return { ...known, ...tail.run({ ...inputs, ...known }) }
}

function fetch(name: string, target: Tensor, result: TfTensor, where: string): void {
  if (result.size !== target.size)
    throw new UserError(
      `${where}: output '${name}' has the wrong shape: [${target.dims.join(',')}] — the model gave [${result.shape.join(',')}]`,
    )
  writeInto(target, result.dataSync())
}

function checkNames(
  where: string,
  kind: string,
  known: ReadonlySet<string>,
  given: readonly string[],
): void {
  for (const name of given)
    if (!known.has(name))
      throw new UserError(
        `${where}: has no ${kind} tensor of that name: '${name}' — it has ${[...known].map((other) => `'${other}'`).join(', ')}`,
      )
}
