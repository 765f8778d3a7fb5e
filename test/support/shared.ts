// The real models and data that lie beside the repository; tests that need them skip where they are absent.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { it } from '@jest/globals'

const folder = process.env.CONDENSE_SHARED ?? resolve('../shared')

/** The path of one of the real models. */
export const sharedModel = (name: string): string => resolve(folder, 'models', name)

/** The folder of the real data sets. */
export const sharedData: string = resolve(folder, 'data')

/** True where the real models and data are present. */
export const sharedIsPresent: boolean =
  existsSync(resolve(folder, 'models')) && existsSync(sharedData)

const reason = '(skipped: ../shared is absent)'
const skipped = Object.assign((name: string) => it.skip(`${name} ${reason}`, () => undefined), {
  each: (rows: readonly unknown[]) => (name: string) =>
    it.skip.each(rows)(`${name} ${reason}`, () => undefined),
})

/** `it` (and `it.each`), or a skipped test that says why, where ../shared is absent. */
export const itWithShared = sharedIsPresent ? it : (skipped as unknown as typeof it)
