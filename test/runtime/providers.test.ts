import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { tryProvider } from '../../runtime/probe.ts'
import {
  type ProviderName,
  providerNamed,
  providerNames,
  providers,
  requireProvider,
} from '../../runtime/providers.ts'
import { gpuEnvironment, tryWebgpu } from '../../runtime/webgpu.ts'

describe('the table of providers', () => {
  it('has a row for each name, and each says whether it is available', async () => {
    expect(providerNames).toEqual([
      ...['cpu', 'wasm', 'webgpu', 'cuda', 'tensorrt', 'dml', 'coreml'],
      ...['wasm:browser', 'webgpu:browser', 'webnn:browser'],
    ])
    // Those of browsers have tests of their own.
    for (const name of providerNames.filter((each) => !providerNamed(each).browser)) {
      const availability = await providers[name].available()
      if (!availability.available) expect(availability.reason).toMatch(/^[^\n]{10,300}$/)
    }
  })

  it('has cpu and wasm everywhere, and says which build of WebAssembly', async () => {
    expect(await providers.cpu.available()).toEqual({ available: true })
    expect(await providers.wasm.available()).toEqual({
      available: true,
      detail: expect.stringMatching(/^onnxruntime-web \d+\.\d+\.\d+, SIMD and threads$/),
    })
  })

  const elsewhere: readonly (readonly [ProviderName, NodeJS.Platform, string])[] = [
    ['dml', 'win32', 'DirectML runs on Windows only'],
    ['coreml', 'darwin', 'Core ML runs on macOS only'],
  ]
  it.each(elsewhere.filter(([, platform]) => platform !== process.platform))(
    'says where %s runs',
    async (name, _platform, reason) => {
      await expect(requireProvider(name)).rejects.toEqual(
        new UserError(
          `provider '${name}' is not available: ${reason} (this is ${process.platform})`,
        ),
      )
    },
  )

  it('refuses an unknown name and suggests the nearest', () => {
    expect(() => providerNamed('webgup')).toThrow(
      new UserError(
        "provider: unknown: 'webgup' — did you mean 'webgpu'? known: cpu, wasm, webgpu, cuda, tensorrt, dml, coreml, wasm:browser, webgpu:browser, webnn:browser",
      ),
    )
    expect(() => providerNamed('toString')).toThrow(UserError)
  })
})

/** Runs a module that may import from dist/ in a process of its own, and gives what it prints. */
function runCompiled(script: string, env: NodeJS.ProcessEnv = process.env): string {
  const folder = mkdtempSync(join(tmpdir(), 'providers-'))
  try {
    const file = join(folder, 'script.mjs')
    writeFileSync(file, script.replaceAll("'./dist/", `'${pathToFileURL(resolve('dist'))}/`))
    return execFileSync(process.execPath, [file], { env, encoding: 'utf8', timeout: 30_000 })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const itOnLinux = process.platform === 'linux' ? it : it.skip
itOnLinux('a test run that takes its process down is told with the signal', async () => {
  // Node gives up as it starts with so little memory, as a native library would.
  const probe = await tryProvider('cpu', {
    ...process.env,
    NODE_OPTIONS: '--max-old-space-size=1',
  })
  expect(probe).toEqual({
    ran: false,
    crashed: expect.stringMatching(/^SIG(ABRT|ILL|TRAP)$/),
    said: expect.any(String),
  })
  expect(await tryProvider('cpu', process.env)).toEqual({ ran: true })
})

const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json'
const hasSoftwareDriver = existsSync(softwareDriver)
const compiled = existsSync('dist/runtime/session.js')

describe('WebGPU', () => {
  const { CONDENSE_SOFTWARE_GPU: _chosen, VK_ICD_FILENAMES: _driver, ...plain } = process.env

  it('says what to install where there is no adapter', async () => {
    const hidden = { ...plain, VK_ICD_FILENAMES: '/nowhere.json', VK_DRIVER_FILES: '/nowhere.json' }
    const availability = await tryWebgpu(hidden)
    // On macOS and Windows these variables mean nothing.
    if (process.platform === 'linux')
      expect(availability).toEqual({
        available: false,
        reason: expect.stringMatching(/^no GPU adapter was found — install /),
      })
  })

  it('leaves the environment alone unless a driver is named or software is asked for', () => {
    expect(gpuEnvironment(plain)).toEqual(plain)
    expect(gpuEnvironment({ VK_ICD_FILENAMES: '/nowhere/driver.json' })).toEqual({
      VK_ICD_FILENAMES: '/nowhere/driver.json',
    })
  })

  const software = hasSoftwareDriver ? it : it.skip
  software(`runs on Chromium's software GPU and says so (needs ${softwareDriver})`, async () => {
    const environment = gpuEnvironment({ ...plain, CONDENSE_SOFTWARE_GPU: '1' })
    expect(environment.VK_ICD_FILENAMES).toBe(softwareDriver)
    expect(await tryWebgpu(environment)).toEqual({ available: true, software: true })
  })

  const softwareCompiled = hasSoftwareDriver && compiled ? it : it.skip
  softwareCompiled('gives what the CPU gives (needs the software GPU and dist/)', () => {
    const script = `
      import { newModel } from './dist/onnx/build.js'
      import { numbers, tensorOf } from './dist/onnx/tensor.js'
      import { withSession } from './dist/runtime/session.js'
      const { model, g } = newModel('mlp')
      const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
      const w = tensorOf('float32', [4, 3], Array.from({ length: 12 }, (_, i) => Math.sin(i)))
      g.output('y', g.Softmax(g.Relu(g.MatMul(x, w))), { dtype: 'float32', shape: ['N', 3] })
      const feeds = { x: tensorOf('float32', [2, 4], [1, -2, 3, -4, 0.5, 6, 7, 8]) }
      const run = (provider) => withSession(model, { provider }, async (session) => {
        const memory = tensorOf('float32', [2, 3], new Float32Array(6))
        await session.prepare(feeds, { y: memory })()
        return [numbers(memory), numbers((await session.run(feeds)).y)]
      })
      console.log(JSON.stringify([await run('cpu'), await run('webgpu')]))`
    const output = runCompiled(script, gpuEnvironment({ ...plain, CONDENSE_SOFTWARE_GPU: '1' }))
    const [cpu, webgpu] = JSON.parse(output) as number[][][]
    for (const values of webgpu!)
      for (const [index, value] of values.entries()) expect(value).toBeCloseTo(cpu![0]![index]!, 5)
  })
})

const itCompiled = compiled ? it : it.skip
itCompiled.each([1, 2])(
  'lets the process end after wasm with %i threads (needs dist/)',
  (threads) => {
    const script = `
    import { newModel } from './dist/onnx/build.js'
    import { numbers, tensorOf } from './dist/onnx/tensor.js'
    import { withSession } from './dist/runtime/session.js'
    const { model, g } = newModel('square')
    const x = g.input('x', { dtype: 'float32', shape: [1] })
    g.output('y', g.Mul(x, x))
    const options = { provider: 'wasm', threads: ${threads} }
    const { y } = await withSession(model, options, (session) =>
      session.run({ x: tensorOf('float32', [1], [3]) }))
    console.log(numbers(y).join())`
    expect(runCompiled(script)).toBe('9\n')
  },
)
