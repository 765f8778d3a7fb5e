// Whether a provider of a browser works here, found out by running a graph there.
import { messageOf } from '../../base/errors.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import type { Availability } from '../providers.ts'
import { squareModel } from '../square.ts'
import { acquireChromium } from './chromium.ts'
import { type Abilities, lookInPage } from './page.ts'
import type { Build } from './server.ts'
import { openInBrowser } from './session.ts'

const probed = new Map<string, Promise<Availability>>()

/** Runs a graph of one node, once a process for each provider; waits a minute at most. */
export function probeBrowser(executionProvider: string, build: Build): Promise<Availability> {
  const found = probed.get(executionProvider) ?? tryBrowser(executionProvider, build)
  probed.set(executionProvider, found)
  return found
}

/** What a page does not have that the provider needs. */
function lackOf({ isolated, gpu, ml }: Abilities): string | undefined {
  if (!isolated) return 'the page is not isolated from others, so that WebAssembly has no threads'
  if (gpu && 'failed' in gpu)
    return `${gpu.failed} — install a GPU driver; CONDENSE_SOFTWARE_GPU=1 measures on a software GPU instead`
  if (ml) return `${ml.failed} — WebNN needs a Chromium that was built with it`
  return undefined
}

async function tryBrowser(executionProvider: string, build: Build): Promise<Availability> {
  try {
    const chromium = await acquireChromium(build)
    try {
      const page = await chromium.page()
      const abilities = await withinAMinute(page.evaluate(lookInPage, executionProvider))
      const lack = lackOf(abilities)
      if (lack !== undefined) return { available: false, reason: `${lack} (${chromium.version})` }
      const model = squareModel()
      const where = 'a test run'
      const options = { build, executionProvider, threads: 1, optimization: 'all', where } as const
      const square = async () => {
        const session = await openInBrowser(model, options)
        const { y } = await session.run({ x: tensorOf('float32', [4], [1, 2, 3, 4]) })
        await session.dispose()
        return numbers(y!).join()
      }
      const result = await withinAMinute(square())
      if (result !== '1,4,9,16')
        return { available: false, reason: `a test run gave ${result} for 1,4,9,16` }
      const { gpu } = abilities
      const device = gpu && 'name' in gpu ? gpu : undefined
      return {
        available: true,
        ...(device?.software && { software: true }),
        detail: [chromium.version, device?.name ?? 'SIMD and threads'].join(', '),
      }
    } finally {
      await chromium.release()
    }
  } catch (thrown) {
    return { available: false, reason: messageOf(thrown) }
  }
}

async function withinAMinute<Result>(answer: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the browser gave no answer for 60 s')), 60_000)
  })
  try {
    return await Promise.race([answer, tooLong])
  } finally {
    clearTimeout(timer)
  }
}
