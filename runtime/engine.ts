// The only file that loads ONNX Runtime, and only when a session is wanted: `condense --help` must not pay for it.
import type * as OnnxRuntime from 'onnxruntime-node'
import { UserError } from '../base/errors.ts'

/** What onnxruntime-node and onnxruntime-web have in common. */
export type Engine = Pick<typeof OnnxRuntime, 'InferenceSession' | 'Tensor' | 'env'>

/** The packages that run graphs. */
export type EnginePackage = 'onnxruntime-node' | 'onnxruntime-web'

/**
 * Loads one of the packages, silenced.
 *
 * WebAssembly has one thread pool for the whole process, made with its first session: another number of threads
 * afterwards is a {@link UserError}.
 */
export async function loadEngine(name: EnginePackage, threads: number): Promise<Engine> {
  return name === 'onnxruntime-node' ? await loadNative() : await loadWebAssembly(threads)
}

async function loadNative(): Promise<Engine> {
  const engine = await import('onnxruntime-node')
  engine.env.logLevel = 'fatal'
  return engine
}

let webAssemblyThreads: number | undefined

async function loadWebAssembly(threads: number): Promise<Engine> {
  if (webAssemblyThreads !== undefined && webAssemblyThreads !== threads)
    throw new UserError(
      `provider 'wasm': the thread pool of this process has ${webAssemblyThreads} threads: ${threads} asked for — use another process`,
    )
  webAssemblyThreads = threads
  const engine = await import('onnxruntime-web')
  engine.env.logLevel = 'fatal'
  engine.env.wasm.numThreads = threads
  return engine
}

/** What WebAssembly under Node is: onnxruntime-web brings one build of it, which has SIMD and threads. */
export async function webAssemblyBuild(): Promise<string> {
  const { env } = await import('onnxruntime-web')
  return `onnxruntime-web ${env.versions.web ?? env.versions.common}, SIMD and threads`
}

/** The providers that onnxruntime-node's native library was built with, by its own names. */
export async function bundledProviders(): Promise<ReadonlySet<string>> {
  const { listSupportedBackends } = await import('onnxruntime-node')
  return new Set(
    listSupportedBackends()
      .filter((backend) => backend.bundled)
      .map((backend) => backend.name),
  )
}

/** The version of ONNX Runtime, such as `1.30.0`. */
export async function runtimeVersion(): Promise<string> {
  const { env } = await import('onnxruntime-node')
  return env.versions.node ?? env.versions.common
}
