// The only file that loads TensorFlow.js, and only when a training wants it: `condense --help` must not pay for it.
import type * as TensorFlow from '@tensorflow/tfjs'
import { messageOf, UserError } from '../../../base/errors.ts'

/** TensorFlow.js. */
export type Tf = typeof TensorFlow
/** A tensor of TensorFlow.js. */
export type TfTensor = TensorFlow.Tensor

/** What computes: `tensorflow` is the native library of `@tensorflow/tfjs-node`, `cpu` plain JavaScript. */
export type TfBackend = 'tensorflow' | 'cpu'

/** TensorFlow.js with the backend that computes. */
export interface LoadedTf {
  readonly tf: Tf
  readonly backend: TfBackend
}

// A name that the compiler does not look up: the package is optional.
const nativePackage: string = '@tensorflow/tfjs-node'

/**
 * Loads TensorFlow.js, silenced: the native library where it can be had, else JavaScript, or the one asked for.
 *
 * A native library that was asked for and cannot be loaded is a {@link UserError}.
 */
export async function loadTensorFlow(wanted?: TfBackend): Promise<LoadedTf> {
  if (wanted !== 'cpu') {
    const native = await loadNative()
    if (typeof native !== 'string') return { tf: native, backend: 'tensorflow' }
    if (wanted === 'tensorflow')
      throw new UserError(
        `engine 'tfjs': the native library cannot be loaded: ${native} — install ${nativePackage}, or leave the backend open`,
      )
  }
  const tf = silenced(await quietly(() => import('@tensorflow/tfjs')))
  await use(tf, 'cpu')
  return { tf, backend: 'cpu' }
}

/** Lets a backend compute what follows; the choice holds for the whole process. */
export async function use(tf: Tf, backend: TfBackend): Promise<void> {
  if (tf.getBackend() !== backend) await tf.setBackend(backend)
}

/** In its production mode TensorFlow.js neither warns nor advises. */
function silenced(tf: Tf): Tf {
  tf.enableProdMode()
  return tf
}

/** While its parts are loaded they warn of each other, before anything can be told to them. */
async function quietly<Module>(load: () => Promise<Module>): Promise<Module> {
  const { warn } = console
  console.warn = () => undefined
  try {
    return await load()
  } finally {
    console.warn = warn
  }
}

/** The native package, or in one line why there is none. */
async function loadNative(): Promise<Tf | string> {
  const level = process.env.TF_CPP_MIN_LOG_LEVEL
  // The library reads it while it is loaded, and greets otherwise.
  process.env.TF_CPP_MIN_LOG_LEVEL = '3'
  try {
    const tf = silenced(await quietly(() => import(nativePackage) as Promise<Tf>))
    await use(tf, 'tensorflow')
    // It loads in versions of Node in which its operators fail.
    tf.tidy(() => tf.square(tf.scalar(2)).dataSync())
    return tf
  } catch (thrown) {
    return messageOf(thrown).split('\n')[0]!.trim()
  } finally {
    if (level === undefined) delete process.env.TF_CPP_MIN_LOG_LEVEL
    else process.env.TF_CPP_MIN_LOG_LEVEL = level
  }
}
