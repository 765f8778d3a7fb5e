// What runs inside the page: these functions are sent there as text, so that they know nothing but their argument and
// what a page has.

/** A tensor on its way: its bytes lie in a body from `start` on. */
export interface Described {
  readonly name: string
  readonly type: string
  readonly dims: readonly number[]
  readonly start: number
  readonly length: number
  /** The elements of a tensor of strings, which has no bytes. */
  readonly strings?: readonly string[]
}

/** What ONNX Runtime threw. */
export interface Failed {
  readonly failed: string
}

/** An input or output, as ONNX Runtime describes it. */
interface Metadata {
  readonly name: string
  readonly isTensor: boolean
  readonly type?: string
  readonly shape?: readonly (number | string)[]
}

/** What of ONNX Runtime is used in a page. */
interface PageTensor {
  readonly type: string
  readonly dims: readonly number[]
  readonly data: ArrayBufferView | readonly string[]
}
interface PageSession {
  readonly inputMetadata: readonly Metadata[]
  readonly outputMetadata: readonly Metadata[]
  run(feeds: object, fetches: readonly string[]): Promise<Record<string, PageTensor>>
}
interface PageScope {
  readonly ort: {
    readonly env: { logLevel: string; readonly wasm: { numThreads: number } }
    readonly InferenceSession: {
      create(model: Uint8Array, options: object): Promise<PageSession>
    }
    readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => PageTensor
  }
  session: PageSession
  readonly crossOriginIsolated: boolean
  readonly navigator: {
    readonly gpu?: { requestAdapter(): Promise<PageAdapter | null> }
    readonly ml?: { createContext(): Promise<unknown> }
  }
}
interface PageAdapter {
  readonly isFallbackAdapter?: boolean
  readonly info: {
    readonly vendor: string
    readonly architecture: string
    readonly description: string
    readonly isFallbackAdapter?: boolean
  }
}

/** What a page says after it has opened a model. */
export interface OpenedInPage {
  readonly inputs: readonly Metadata[]
  readonly outputs: readonly Metadata[]
  /** The threads that WebAssembly has, which are fewer than asked for where threads do not work. */
  readonly threads: number
  /** The time that it took inside of the page, with WebAssembly's own start, ms. */
  readonly ms: number
  /** What ONNX Runtime wrote while it opened the model, where that was asked for. */
  readonly said: readonly string[]
}

/** Opens a model that lies at an address. */
export async function openInPage({
  model,
  threads,
  listen,
  options,
}: {
  readonly model: string
  readonly threads: number
  /** Whether what ONNX Runtime writes is wanted, which it then writes much of. */
  readonly listen: boolean
  readonly options: object
}): Promise<OpenedInPage | Failed> {
  const scope = globalThis as unknown as PageScope
  const said: string[] = []
  try {
    const { ort } = scope
    ort.env.logLevel = listen ? 'verbose' : 'fatal'
    ort.env.wasm.numThreads = threads
    const keep = (line: unknown) => void said.push(String(line))
    if (listen) Object.assign(console, { log: keep, warn: keep, error: keep, info: keep })
    const response = await fetch(model)
    const bytes = new Uint8Array(await response.arrayBuffer())
    const before = performance.now()
    const session = await ort.InferenceSession.create(bytes, options)
    const ms = performance.now() - before
    scope.session = session
    return {
      inputs: session.inputMetadata,
      outputs: session.outputMetadata,
      threads: ort.env.wasm.numThreads,
      ms,
      said,
    }
  } catch (error) {
    return { failed: String((error as Error | undefined)?.message ?? error) }
  }
}

/** What a page says after a run. */
export interface RanInPage {
  readonly results: readonly Described[]
  /** The bytes of the results as base64, where they are few; the others have been posted. */
  readonly body?: string
  /** The time of the run inside of the page, ms: from bytes in the page's memory to bytes in the page's memory. */
  readonly ms: number
}

/**
 * Runs the open model on tensors whose bytes lie at an address, or, where they are few, come along as base64; the bytes
 * of the results go back in the same way. Each request costs its time.
 */
export async function runInPage({
  feeds,
  input,
  wanted,
  output,
  few,
}: {
  readonly feeds: readonly Described[]
  readonly input: { readonly address: string } | { readonly base64: string }
  readonly wanted: readonly string[]
  readonly output: string
  /** So many bytes of results come along. */
  readonly few: number
}): Promise<RanInPage | Failed> {
  const { ort, session } = globalThis as unknown as PageScope
  const arrays: Record<string, new (buffer: ArrayBuffer, start: number, length: number) => object> =
    {
      ...{ float32: Float32Array, float64: Float64Array, float16: Uint16Array },
      ...{ int8: Int8Array, uint8: Uint8Array, bool: Uint8Array, int4: Uint8Array },
      ...{ uint4: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array },
      ...{ uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array },
    }
  try {
    const body =
      'address' in input
        ? await (await fetch(input.address)).arrayBuffer()
        : Uint8Array.from(atob(input.base64), (character) => character.charCodeAt(0)).buffer
    const given: Record<string, PageTensor> = {}
    for (const { name, type, dims, start, length, strings } of feeds) {
      const view = arrays[type] ?? Uint8Array
      const size = (view as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT
      given[name] = new ort.Tensor(type, strings ?? new view(body, start, length / size), dims)
    }
    const before = performance.now()
    const found = await session.run(given, wanted)
    const ms = performance.now() - before
    const results: Described[] = []
    const parts: { readonly at: number; readonly bytes: Uint8Array }[] = []
    let start = 0
    for (const name of wanted) {
      const { type, dims, data } = found[name]!
      if (!ArrayBuffer.isView(data)) {
        results.push({ name, type, dims, start, length: 0, strings: data })
        continue
      }
      const { buffer, byteOffset, byteLength } = data
      parts.push({ at: start, bytes: new Uint8Array(buffer, byteOffset, byteLength) })
      results.push({ name, type, dims, start, length: byteLength })
      start += byteLength
    }
    const answer = new Uint8Array(start)
    for (const { at, bytes } of parts) answer.set(bytes, at)
    if (start <= few) {
      let text = ''
      for (const byte of answer) text += String.fromCharCode(byte)
      return { results, ms, body: btoa(text) }
    }
    const posted = await fetch(output, { method: 'POST', body: answer })
    if (!posted.ok) throw new Error(`the results were not taken (${posted.status})`)
    return { results, ms }
  } catch (error) {
    return { failed: String((error as Error | undefined)?.message ?? error) }
  }
}

/** What a page can do. */
export interface Abilities {
  /** Whether threads of WebAssembly can share memory. */
  readonly isolated: boolean
  /** The device that WebGPU runs on, or why there is none. */
  readonly gpu?: { readonly name: string; readonly software: boolean } | Failed
  /** Nothing where WebNN works, or why it does not. */
  readonly ml?: Failed
}

/** Looks for what a provider needs. */
export async function lookInPage(provider: string): Promise<Abilities> {
  const { crossOriginIsolated: isolated, navigator } = globalThis as unknown as PageScope
  const why = (error: unknown) => ({ failed: String((error as Error)?.message ?? error) })
  if (provider === 'webgpu') {
    if (!navigator.gpu) return { isolated, gpu: { failed: 'the browser has no WebGPU' } }
    try {
      const adapter = await navigator.gpu.requestAdapter()
      if (!adapter) return { isolated, gpu: { failed: 'the browser found no GPU adapter' } }
      const { vendor, architecture, description, isFallbackAdapter } = adapter.info
      const name = [vendor, architecture, description].filter(Boolean).join(' ')
      const software =
        (isFallbackAdapter ?? adapter.isFallbackAdapter) === true ||
        /swiftshader|lavapipe|llvmpipe|basic render/i.test(name)
      return { isolated, gpu: { name, software } }
    } catch (error) {
      return { isolated, gpu: why(error) }
    }
  }
  if (provider === 'webnn') {
    if (!navigator.ml) return { isolated, ml: { failed: 'the browser has no WebNN' } }
    try {
      await navigator.ml.createContext()
    } catch (error) {
      return { isolated, ml: why(error) }
    }
  }
  return { isolated }
}
