// Whether WebGPU works here, found out by running a graph in a child process: a broken Vulkan driver takes its
// whole process down.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import type { Availability } from './providers.ts'

/** Environment variables; Node's own name for this type would ask users of our declarations for Node's types. */
type Environment = Readonly<Record<string, string | undefined>>

/** Where Debian's chromium puts SwiftShader, a Vulkan driver that runs on the CPU. */
const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json'

/**
 * The environment that a child process needs in order to find a Vulkan driver.
 *
 * `CONDENSE_SOFTWARE_GPU=1` chooses Chromium's software driver; a driver named in `VK_ICD_FILENAMES` (by the user or
 * so) brings the Vulkan loader beside it, if one is there. The loader's path must be known when a process starts,
 * which is why the process itself cannot be given it.
 */
export function gpuEnvironment(environment: Environment = process.env): Environment {
  const wanted = environment.CONDENSE_SOFTWARE_GPU === '1' && existsSync(softwareDriver)
  const driver = environment.VK_ICD_FILENAMES ?? (wanted ? softwareDriver : undefined)
  if (driver === undefined) return { ...environment }
  const folder = dirname(driver.split(delimiter)[0]!)
  const loaders = [environment.LD_LIBRARY_PATH, folder].filter(Boolean).join(delimiter)
  return {
    ...environment,
    VK_ICD_FILENAMES: driver,
    ...(existsSync(join(folder, 'libvulkan.so.1')) ? { LD_LIBRARY_PATH: loaders } : {}),
  }
}

let probed: Promise<Availability> | undefined

/** Runs a graph of one node on WebGPU, once a process; waits a minute at most. */
export function probeWebgpu(): Promise<Availability> {
  probed ??= tryWebgpu(gpuEnvironment())
  return probed
}

const script = `
const { InferenceSession, Tensor } = require(process.argv[1])
const options = { executionProviders: ['webgpu'], logSeverityLevel: 4 }
InferenceSession.create(Buffer.from(process.argv[2], 'base64'), options)
  .then((session) => session.run({ x: new Tensor('float32', [1, 2, 3, 4], [4]) }))
  .then(({ y }) => process.stdout.write(Array.from(y.data).join()))
  .catch((error) => process.stderr.write(error.message))
`

/** The same anew, in a given environment. */
export async function tryWebgpu(environment: Environment): Promise<Availability> {
  const packagePath = createRequire(import.meta.url).resolve('onnxruntime-node')
  const content = Buffer.from(await squareModel()).toString('base64')
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      ['-e', script, packagePath, content],
      { env: environment, timeout: 60_000, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (stdout === '1,4,9,16') resolve({ available: true, ...softwareMark(environment) })
        else if (error?.signal)
          resolve({ available: false, reason: `the GPU driver crashed or hung (${error.signal})` })
        else resolve({ available: false, reason: reasonIn(stderr || stdout) })
      },
    )
  })
}

/** y = x * x. What writes models is loaded here: the table of providers is read where no model is. */
async function squareModel(): Promise<Uint8Array> {
  const { newModel } = await import('../onnx/build.ts')
  const { serializeModel } = await import('../onnx/save.ts')
  const { model, g } = newModel('probe')
  const x = g.input('x', { dtype: 'float32', shape: [4] })
  g.output('y', g.Mul(x, x), { dtype: 'float32', shape: [4] })
  return serializeModel(model)
}

const softwareHint =
  process.platform === 'linux'
    ? " — install a GPU driver with Vulkan and libvulkan1; Debian's chromium and CONDENSE_SOFTWARE_GPU=1 measure on a software GPU instead"
    : ' — install a GPU driver'

function reasonIn(output: string): string {
  if (/No supported adapters|Couldn't load Vulkan/.test(output))
    return `no GPU adapter was found${softwareHint}`
  return `a test run failed: ${output.replace(/\s+/g, ' ').trim().slice(0, 200) || 'it gave no output'}${softwareHint}`
}

/** On Linux a real GPU has a device node; without one, or with a driver known to be software, the CPU does the work. */
function softwareMark(environment: Environment): { software?: boolean } {
  if (process.platform !== 'linux') return {}
  const drivers = `${environment.VK_ICD_FILENAMES ?? ''} ${environment.VK_DRIVER_FILES ?? ''}`
  const software = /swiftshader|lvp|lavapipe|llvmpipe/i.test(drivers) || !hasGpuDevice()
  return software ? { software: true } : {}
}

function hasGpuDevice(): boolean {
  const nodes = readdirSync('/dev')
  return (
    (nodes.includes('dri') && readdirSync('/dev/dri').some((name) => name.startsWith('render'))) ||
    nodes.some((name) => /^(nvidia\d|dxg$|mali|kgsl-)/.test(name))
  )
}
