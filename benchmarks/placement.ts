// Which nodes a provider runs itself and which fell back to the CPU, read from ONNX Runtime's profile of one run, or, in
// a browser, where it writes none, from what it says while it opens a model.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Samples } from '../base/samples.ts'
import { loadModel } from '../onnx/load.ts'
import { serializeModel } from '../onnx/save.ts'
import { predictWith } from '../runtime/predict.ts'
import { type ProviderName, providerNamed } from '../runtime/providers.ts'
import { withSession } from '../runtime/session.ts'

/** Where the nodes of a model ran, after ONNX Runtime's own rewriting. */
export interface Placement {
  readonly nodesOnProvider: number
  readonly nodesElsewhere: number
}

/** What ONNX Runtime calls the provider that everything falls back to. */
const fallback = 'CPUExecutionProvider'

/** An event of a profile, as far as it is read here. */
interface ProfileEvent {
  readonly cat?: string
  readonly name?: string
  readonly args?: { readonly provider?: string; readonly op_name?: string }
}

/**
 * Runs one sample and counts the nodes by who ran them; copies between devices are not counted.
 *
 * Undefined for WebAssembly, which has no other provider beside it, and where ONNX Runtime does not tell.
 */
export async function placementOf(
  path: string,
  provider: ProviderName,
  sample: Samples,
): Promise<Placement | undefined> {
  const { browser, executionProvider } = providerNamed(provider)
  if (executionProvider === 'wasm') return undefined
  if (browser) {
    const { countNodes } = await import('../runtime/browser/placement.ts')
    const model = serializeModel(await loadModel(path))
    const options = { build: browser, executionProvider, threads: 1, optimization: 'all' } as const
    return await countNodes(model, { ...options, where: path })
  }
  const folder = mkdtempSync(join(tmpdir(), 'condense-profile-'))
  try {
    await withSession(path, { provider, profile: join(folder, 'profile') }, async (session) => {
      await predictWith(session, sample, { where: path })
    })
    const file = readdirSync(folder)[0]
    return file === undefined ? undefined : count(join(folder, file), provider)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function count(profile: string, provider: ProviderName): Placement {
  const events = JSON.parse(readFileSync(profile, 'utf8')) as readonly ProfileEvent[]
  const runs = events.filter(
    ({ cat, name, args }) =>
      cat === 'Node' && name?.endsWith('_kernel_time') && !args?.op_name?.startsWith('Memcpy'),
  )
  const onFallback = runs.filter(({ args }) => args?.provider === fallback).length
  const nodesElsewhere = provider === 'cpu' ? 0 : onFallback
  return { nodesOnProvider: runs.length - nodesElsewhere, nodesElsewhere }
}
