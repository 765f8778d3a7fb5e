// Running a graph: one interface over onnxruntime-node and onnxruntime-web, with errors that say what to do.
import { accessSync, constants, statSync } from 'node:fs'
import type { InferenceSession } from 'onnxruntime-node'
import { UserError } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'
import { type Dim, type Model, opsetOf } from '../onnx/graph.ts'
import { loadModel, parseModel } from '../onnx/load.ts'
import { serializeModel } from '../onnx/save.ts'
import type { DataType, Tensor } from '../onnx/tensor.ts'
import { checkFeeds, checkFetches, checkNames, copyInto, infoOf } from './checks.ts'
import { type Engine, loadEngine } from './engine.ts'
import { explainOpening, explainRunning } from './explain.ts'
import { type Provider, type ProviderName, providerNamed } from './providers.ts'
import { fromNative, type NativeTensor, toNative } from './values.ts'

/** How a session is made. */
export interface SessionOptions {
  /** Where it runs; `cpu` unless told. Nodes that the provider cannot run fall back to the CPU. */
  readonly provider?: ProviderName
  /** Threads within an operator, 1 unless told; operators never run side by side. */
  readonly threads?: number
  /** What ONNX Runtime may rewrite; `all` unless told. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all'
  /** Lets idle threads spin: faster alone, but two live sessions then slow each other down twofold. */
  readonly spinning?: boolean
  /** Writes a profile to `<profile>_<time>.json` when the session is disposed (onnxruntime-node only). */
  readonly profile?: string
  /** Writes the graph as ONNX Runtime rewrote it, as ONNX, to this path (onnxruntime-node only). */
  readonly optimizedFile?: string
  /** What error messages call the model: its path unless told, else `model`. */
  readonly where?: string
}

/** What a session says of an input or output; `shape` holds names and undefined where a dimension is free. */
export interface ValueInfo {
  readonly name: string
  readonly dtype: DataType
  readonly shape: readonly Dim[]
}

/** A model that is ready to run. */
export interface Session {
  /** The inputs that are tensors. */
  readonly inputs: readonly ValueInfo[]
  /** The outputs that are tensors; sequences and maps are never fetched. */
  readonly outputs: readonly ValueInfo[]
  /**
   * Runs the model once.
   *
   * `fetches` names the wanted outputs (all unless told), or gives tensors into whose memory they are written; such
   * a tensor may be one of the feeds, if every node that reads the input comes before the one that writes the output.
   * A feed or fetch that does not fit the model is a {@link UserError}.
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches?: Readonly<Record<string, Tensor>> | readonly string[],
  ): Promise<Record<string, Tensor>>
  /**
   * Binds memory once for many runs: each call reads the feeds' bytes as they are then and overwrites the fetches'.
   * It gives the time of the run in ms where the session knows better than who calls it, as one in a browser does.
   */
  prepare(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: Readonly<Record<string, Tensor>>,
  ): () => Promise<number | undefined>
  /** What making the session and its first run took, ms, where the session knows better than who waits for it. */
  readonly coldStart?: () => { readonly sessionMs: number; readonly firstRunMs: number }
  /** Frees the model. */
  dispose(): Promise<void>
}

/**
 * Opens a model, given as a graph, as the bytes of a file or as a path.
 *
 * A model that ONNX Runtime cannot run, and a provider that is not here, are a {@link UserError}.
 */
export async function openSession(
  model: Model | Uint8Array | string,
  options: SessionOptions = {},
): Promise<Session> {
  const { provider = 'cpu', threads = 1, profile, optimizedFile } = options
  const where = options.where ?? (typeof model === 'string' ? model : 'model')
  const row = providerNamed(provider)
  if (typeof model === 'string') checkReadable(model)
  if (row.browser) return await openInPage(model, row, { ...options, threads, where })
  const engine = await loadEngine(row.package, threads)
  const source = await contentFor(model, row.package === 'onnxruntime-node')
  try {
    const native = await create(engine, source, {
      executionProviders: [row.executionProvider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: options.optimization ?? 'all',
      // Its own messages go to stderr; what matters is in the error that it throws.
      logSeverityLevel: 4,
      extra: { session: { intra_op: { allow_spinning: options.spinning ? '1' : '0' } } },
      ...(optimizedFile === undefined ? {} : { optimizedModelFilePath: optimizedFile }),
      ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
    })
    const given = engine.env.wasm.numThreads
    if (row.package === 'onnxruntime-web' && given !== threads)
      throw new UserError(
        `${where}: WebAssembly has ${given} threads here: ${threads} asked for — use 1`,
      )
    // onnxruntime-web ignores preallocated outputs, so their content is copied there.
    return wrap(engine, native, where, {
      writesInPlace: row.package === 'onnxruntime-node',
      profiles: profile !== undefined,
    })
  } catch (thrown) {
    throw explainOpening(where, engine.env.versions.common, thrown, await opsetIn(model))
  }
}

/** Opens a model in a browser; what drives one is loaded when it is asked for. */
async function openInPage(
  model: Model | Uint8Array | string,
  { browser = 'wasm', executionProvider }: Provider,
  { optimization = 'all', threads, where }: SessionOptions & { threads: number; where: string },
): Promise<Session> {
  const { openInBrowser } = await import('./browser/session.ts')
  const content = (await contentFor(model, false)) as Uint8Array // no path, for a page has no files
  return await openInBrowser(content, {
    ...{ build: browser, executionProvider, threads, optimization, where },
  })
}

/** Opens a model, lets it be used, and frees it whatever happens. */
export async function withSession<Result>(
  model: Model | Uint8Array | string,
  options: SessionOptions,
  use: (session: Session) => Promise<Result>,
): Promise<Result> {
  const session = await openSession(model, options)
  try {
    return await use(session)
  } finally {
    await session.dispose()
  }
}

function checkReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK)
    const entry = statSync(path)
    if (!entry.isFile()) throw new UserError(`${path}: is no file — give the path of a model`)
    if (entry.size === 0)
      throw new UserError(`${path}: the file is empty — export or download the model again`)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

/** A path is opened by ONNX Runtime itself, which maps external data; WebAssembly has no files. */
async function contentFor(
  model: Model | Uint8Array | string,
  files: boolean,
): Promise<Uint8Array | string> {
  if (model instanceof Uint8Array) return model
  if (typeof model === 'string') return files ? model : serializeModel(await loadModel(model))
  return serializeModel(model, { dense: true })
}

/** The opset of a model that failed to open; undefined where even that cannot be read. */
async function opsetIn(model: Model | Uint8Array | string): Promise<number | undefined> {
  try {
    if (model instanceof Uint8Array) return opsetOf(parseModel(model))
    return opsetOf(typeof model === 'string' ? await loadModel(model) : model)
  } catch (thrown) {
    if (thrown instanceof UserError) return undefined
    throw thrown
  }
}

const create = (
  { InferenceSession }: Engine,
  source: Uint8Array | string,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> =>
  typeof source === 'string'
    ? InferenceSession.create(source, options)
    : InferenceSession.create(source, options)

function wrap(
  engine: Engine,
  native: InferenceSession,
  where: string,
  abilities: { readonly writesInPlace: boolean; readonly profiles: boolean },
): Session {
  const inputs = native.inputMetadata.flatMap(infoOf)
  const outputs = native.outputMetadata.flatMap(infoOf)
  const { writesInPlace } = abilities

  const bind = (tensors: Readonly<Record<string, Tensor>>): Record<string, NativeTensor> =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, toNative(engine, tensor)]),
    )
  const execute = async (
    feeds: Record<string, NativeTensor>,
    fetches: Record<string, NativeTensor> | readonly string[],
  ) => {
    try {
      return (await native.run(feeds, fetches)) as Record<string, NativeTensor>
    } catch (thrown) {
      throw explainRunning(where, thrown)
    }
  }

  const bound = (
    feeds: Readonly<Record<string, Tensor>>,
    fetches: Readonly<Record<string, Tensor>>,
  ): (() => Promise<undefined>) => {
    checkFeeds(where, native.inputNames, inputs, feeds)
    checkFetches(where, outputs, fetches)
    const boundFeeds = bind(feeds)
    if (writesInPlace) {
      const boundFetches = bind(fetches)
      checkShared(fetches, boundFetches)
      return async () => {
        await execute(boundFeeds, boundFetches)
        return undefined
      }
    }
    const names = Object.keys(fetches)
    return async () => {
      const results = await execute(boundFeeds, names)
      for (const name of names) copyInto(where, name, fetches[name]!, fromNative(results[name]!))
      return undefined
    }
  }

  return {
    inputs,
    outputs,
    prepare(feeds, fetches) {
      checkShared(feeds, bind(feeds))
      return bound(feeds, fetches)
    },
    async run(feeds, fetches = outputs.map((output) => output.name)) {
      if (!isList(fetches)) {
        await bound(feeds, fetches)()
        return { ...fetches }
      }
      checkFeeds(where, native.inputNames, inputs, feeds)
      checkNames(where, 'output', outputs, fetches)
      const results = await execute(bind(feeds), fetches)
      return Object.fromEntries(fetches.map((name) => [name, fromNative(results[name]!)]))
    },
    async dispose() {
      if (abilities.profiles) native.endProfiling()
      await native.release()
    },
  }
}

const isList = (fetches: object): fetches is readonly string[] => Array.isArray(fetches)

/** Memory that is bound must be the caller's own: a copy, made of bytes that are not aligned, would be a silent bug. */
function checkShared(
  tensors: Readonly<Record<string, Tensor>>,
  bound: Readonly<Record<string, NativeTensor>>,
): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    const { data } = bound[name]!
    if (!ArrayBuffer.isView(data) || data.buffer !== tensor.bytes.buffer)
      throw new Error(`internal: the memory of '${name}' is not aligned and cannot be bound`)
  }
}
