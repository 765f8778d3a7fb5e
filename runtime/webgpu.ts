// Whether WebGPU works here, and what a process needs in its environment for it.
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { tryProvider } from './probe.ts'
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

/** The same anew, in a given environment. */
export async function tryWebgpu(environment: Environment): Promise<Availability> {
  const found = await tryProvider('webgpu', environment)
  if (found.ran) return { available: true, ...softwareMark(environment) }
  if (found.crashed)
    return { available: false, reason: `the GPU driver crashed or hung (${found.crashed})` }
  return { available: false, reason: reasonIn(found.said) }
}

const softwareHint =
  process.platform === 'linux'
    ? " — install a GPU driver with Vulkan and libvulkan1; Debian's chromium and CONDENSE_SOFTWARE_GPU=1 measure on a software GPU instead"
    : ' — install a GPU driver'

function reasonIn(output: string): string {
  if (/No supported adapters|Couldn't load Vulkan/.test(output))
    return `no GPU adapter was found${softwareHint}`
  return `a test run failed: ${output || 'it gave no output'}${softwareHint}`
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
