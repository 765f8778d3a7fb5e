// The execution providers, one row each: what runs it, on what device, and whether it is available here.
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import type { Build } from './browser/server.ts'
import { bundledProviders, type EnginePackage, webAssemblyBuild } from './engine.ts'
import { tryProvider } from './probe.ts'
import { probeWebgpu } from './webgpu.ts'

/**
 * Whether a provider can be used here, and why not; `software` marks a GPU that the CPU imitates, `detail` says what
 * does the work where the name leaves that open.
 */
export type Availability =
  | { readonly available: true; readonly software?: boolean; readonly detail?: string }
  | { readonly available: false; readonly reason: string }

/** One execution provider. */
export interface Provider {
  readonly device: 'cpu' | 'gpu'
  readonly package: EnginePackage
  /** The build of onnxruntime-web that a browser loads; the package runs under Node unless told. */
  readonly browser?: Build
  /** What the package calls it. */
  readonly executionProvider: string
  /** Whether the number of threads matters. */
  readonly threads: boolean
  /** Finds out, by trying where that is needed; the reason says what to install. */
  available(): Promise<Availability>
}

const here = async (): Promise<Availability> => ({ available: true })

const webAssembly = async (): Promise<Availability> => ({
  available: true,
  detail: await webAssemblyBuild(),
})

/** A provider whose native libraries come with the package on some systems only. */
const native = (
  executionProvider: string,
  reason: string,
  platform?: NodeJS.Platform,
): Provider => ({
  device: 'gpu',
  package: 'onnxruntime-node',
  executionProvider,
  threads: false,
  async available() {
    if (platform !== undefined && platform !== process.platform)
      return { available: false, reason: `${reason} (this is ${process.platform})` }
    const bundled = await bundledProviders()
    if (!bundled.has(executionProvider)) return { available: false, reason }
    return await probed(executionProvider)
  },
})

const probes = new Map<string, Promise<Availability>>()

/** Whether a provider whose libraries are here computes, too; found out once a process. */
function probed(executionProvider: string): Promise<Availability> {
  const found =
    probes.get(executionProvider) ??
    tryProvider(executionProvider, process.env).then((probe): Availability => {
      if (probe.ran) return { available: true }
      const how = probe.crashed ? `crashed or hung (${probe.crashed})` : `failed: ${probe.said}`
      return { available: false, reason: `a test run ${how} — check its driver` }
    })
  probes.set(executionProvider, found)
  return found
}

/** A provider of a page in a headless Chromium; what drives that is loaded when it is asked for. */
const inBrowser = (
  executionProvider: string,
  browser: Build,
  device: Provider['device'],
): Provider => ({
  device,
  package: 'onnxruntime-web',
  browser,
  executionProvider,
  threads: device === 'cpu',
  async available() {
    const { probeBrowser } = await import('./browser/probe.ts')
    return await probeBrowser(executionProvider, browser)
  },
})

const nvidia =
  'onnxruntime-node has no CUDA libraries — on Linux x64 with an NVIDIA GPU run ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install'

/** All providers by name. */
export const providers = {
  cpu: {
    device: 'cpu',
    package: 'onnxruntime-node',
    executionProvider: 'cpu',
    threads: true,
    available: here,
  },
  wasm: {
    device: 'cpu',
    package: 'onnxruntime-web',
    executionProvider: 'wasm',
    threads: true,
    available: webAssembly,
  },
  webgpu: {
    device: 'gpu',
    package: 'onnxruntime-node',
    executionProvider: 'webgpu',
    threads: false,
    available: probeWebgpu,
  },
  cuda: native('cuda', nvidia),
  tensorrt: native('tensorrt', nvidia),
  dml: native('dml', 'DirectML runs on Windows only', 'win32'),
  coreml: native('coreml', 'Core ML runs on macOS only', 'darwin'),
  'wasm:browser': inBrowser('wasm', 'wasm', 'cpu'),
  'webgpu:browser': inBrowser('webgpu', 'gpu', 'gpu'),
  'webnn:browser': inBrowser('webnn', 'gpu', 'gpu'),
} as const satisfies Record<string, Provider>

/** The name of a provider. */
export type ProviderName = keyof typeof providers

/** All names, in the order of the table. */
export const providerNames = Object.keys(providers) as readonly ProviderName[]

/** The row of a name; an unknown name is a {@link UserError} with the nearest known one. */
export function providerNamed(name: string): Provider {
  if (!Object.hasOwn(providers, name))
    throw new UserError(`provider: unknown: '${name}' — ${suggest(name, providerNames)}`)
  return providers[name as ProviderName]
}

/** Throws a {@link UserError} with the reason where a provider cannot be used here. */
export async function requireProvider(name: string): Promise<void> {
  const availability = await providerNamed(name).available()
  if (!availability.available)
    throw new UserError(`provider '${name}' is not available: ${availability.reason}`)
}
