// A headless Chromium of this process's own: where it is found, how it is started, and that nothing of it is left.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { messageOf, UserError } from '../../base/errors.ts'
import { makeBrowserFolder, removeFolder, removeLeftFolders } from './folder.ts'
import { type Build, type LoopbackServer, startServer } from './server.ts'

/** A browser with its server. */
export interface Chromium {
  /** As `Chromium 156.0`. */
  readonly version: string
  readonly server: LoopbackServer
  /** Opens a page into which a build of onnxruntime-web has been loaded. */
  page(): Promise<Page>
  /** Says that the caller needs it no more; it ends when nobody does. */
  release(): Promise<void>
}

/** Where browsers are installed, by system. */
const places: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome-stable',
    '/usr/bin/google-chrome',
    '/snap/bin/chromium',
    '/usr/bin/microsoft-edge',
  ],
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ],
  win32: [
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
  ],
}

/** The variables that name a browser, the first that is set. */
const variables = ['CONDENSE_BROWSER', 'CHROME_PATH'] as const

/**
 * The path of a Chromium: what `CONDENSE_BROWSER` or `CHROME_PATH` names, else a well-known place.
 *
 * That there is none is a {@link UserError}.
 */
export function findChromium(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  known: readonly string[] = places[process.platform] ?? [],
): string {
  const variable = variables.find((name) => environment[name])
  if (variable !== undefined) {
    const path = environment[variable]!
    if (existsSync(path)) return path
    throw new UserError(`${variable}: no such file: '${path}' — name the program of a Chromium`)
  }
  const found = known.find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new UserError(
    'no Chromium or Chrome was found — install one, or name its program in CONDENSE_BROWSER',
  )
}

async function loadPlaywright() {
  try {
    return await import('playwright-core')
  } catch (thrown) {
    throw new UserError(
      'playwright-core is not installed, which drives the browser — npm install playwright-core',
      { cause: thrown },
    )
  }
}

/** What a browser that computes on the CPU alone is started with, and one that has to find a GPU or an accelerator. */
const flags: Readonly<Record<Build, (software: boolean) => readonly string[]>> = {
  wasm: () => ['--disable-gpu'],
  gpu: (software) => [
    '--enable-unsafe-webgpu',
    `--enable-features=${['WebMachineLearningNeuralNetwork', ...(process.platform === 'linux' ? ['Vulkan'] : [])].join(',')}`,
    ...(software ? ['--use-webgpu-adapter=swiftshader'] : []),
    ...(process.platform === 'linux' && !software
      ? ['--use-angle=vulkan', '--disable-vulkan-surface']
      : []),
  ],
}

/** Nothing but the loopback server is reached. */
const offline = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'

interface Shared {
  readonly started: Promise<Omit<Chromium, 'release'> & { close(): Promise<void> }>
  users: number
}

const shared = new Map<Build, Shared>()

/**
 * The browser of this process for a build of onnxruntime-web; it is started for the first who asks.
 *
 * It ends with this process, however that ends: its pipe closes then. What is missing to start it is a {@link UserError}.
 */
export async function acquireChromium(build: Build): Promise<Chromium> {
  const own = shared.get(build) ?? { started: start(build), users: 0 }
  shared.set(build, own)
  own.users++
  let released = false
  const release = async () => {
    if (released) return
    released = true
    if (--own.users > 0) return
    if (shared.get(build) === own) shared.delete(build)
    await own.started.then(
      (browser) => browser.close(),
      () => undefined,
    )
  }
  try {
    const { version, server, page } = await own.started
    return { version, server, page, release }
  } catch (thrown) {
    await release()
    throw thrown
  }
}

async function start(build: Build): Promise<Awaited<Shared['started']>> {
  const executablePath = findChromium()
  const { chromium } = await loadPlaywright()
  await removeLeftFolders()
  const folder = makeBrowserFolder()
  const server = await startServer()
  let context: BrowserContext
  try {
    context = await chromium.launchPersistentContext(join(folder, 'profile'), {
      executablePath,
      headless: true,
      args: [...flags[build](process.env.CONDENSE_SOFTWARE_GPU === '1'), offline],
      artifactsDir: join(folder, 'artifacts'),
      timeout: 60_000,
      // What becomes of this process is not the browser's business.
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
    })
  } catch (thrown) {
    await server.close()
    await removeFolder(folder)
    const [line] = messageOf(thrown).split('\n')
    throw new UserError(
      `the browser ${executablePath} did not start: ${line} — try another with CONDENSE_BROWSER`,
      { cause: thrown },
    )
  }
  const pid = await pidOf(context)
  return {
    version: `Chromium ${context.browser()?.version() ?? ''}`.trim(),
    server,
    async page() {
      const page = await context.newPage()
      await page.goto(`${server.url}${build}.html`)
      return page
    },
    async close() {
      // With a page that hangs it does not close by itself.
      const late = setTimeout(() => pid !== undefined && process.kill(pid, 'SIGKILL'), patienceMs)
      await context.close().catch(() => undefined)
      clearTimeout(late)
      await server.close()
      await removeFolder(folder)
    },
  }
}

/** A browser that does not close for so long is killed. */
const patienceMs = 3000

/** The number of the browser's own process. */
async function pidOf(context: BrowserContext): Promise<number | undefined> {
  const session = await context.browser()?.newBrowserCDPSession()
  const info = await session?.send('SystemInfo.getProcessInfo')
  await session?.detach()
  return info?.processInfo.find(({ type }) => type === 'browser')?.id
}
