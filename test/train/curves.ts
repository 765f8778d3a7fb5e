// Loss curves of the same trainings on several providers.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from '@jest/globals'
import { gpuEnvironment } from '../../runtime/webgpu.ts'

type Curves = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>

/** The losses by provider and model, computed in a process of its own: a GPU's driver must be known when it starts. */
function curves(steps: number, provider: string, models: readonly string[]): Curves {
  const script = resolve('test/train/curves.mjs')
  const output = execFileSync(
    process.execPath,
    [script, pathToFileURL(resolve('dist')).href, String(steps), models.join(), 'cpu', provider],
    {
      env: gpuEnvironment({ ...process.env, CONDENSE_SOFTWARE_GPU: '1' }),
      encoding: 'utf8',
      timeout: 600_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  return JSON.parse(output) as Curves
}

/** The models that there are curves of. */
const all = ['mlp', 'cnn', 'transformer']

/** Compares the losses of so many steps of an MLP, a CNN and a transformer, or of some of these, with the CPU's. */
export function expectSameCurves(
  steps: number,
  provider: string,
  models: readonly string[] = all,
): void {
  const found = curves(steps, provider, models)
  expect(Object.keys(found[provider]!)).toEqual(models)
  for (const [model, losses] of Object.entries(found[provider]!)) {
    const expected = found.cpu![model]!
    const third = Math.floor(steps / 3)
    expect(losses).toHaveLength(steps)
    if (steps >= 30)
      expect(expected.slice(-third).reduce((sum, loss) => sum + loss)).toBeLessThan(
        0.9 * expected.slice(0, third).reduce((sum, loss) => sum + loss),
      )
    for (const [step, loss] of losses.entries())
      expect(Math.abs(loss - expected[step]!)).toBeLessThan(1e-3 * Math.abs(expected[step]!))
  }
}

const compiled = existsSync('dist/train/stepper.js')
const softwareGpu = existsSync('/usr/lib/chromium/vk_swiftshader_icd.json')

/** `it`, or a skipped test, where there is no dist/. */
export const itCompiled = compiled ? it : it.skip
/** The same, where there is no dist/ or no software GPU of Chromium's. */
export const itWithSoftwareGpu = compiled && softwareGpu ? it : it.skip
