// Numbers that take long to measure, kept on disk by what they are about, so that none is measured twice.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, writeAtomically } from '../base/files.ts'
import { hashOf } from '../base/hash.ts'

/** Gives what is known of something, or measures it and keeps it; the result is plain data without null. */
export type Remember<Measured> = (
  content: unknown,
  measure: () => Promise<Measured>,
) => Promise<Measured>

/**
 * Opens the measurements of a kind in a folder that stages share: one file, named by the hash of what all of them are
 * `about` (a model's bytes, samples, a provider). Damaged files are measured anew.
 */
export function openMeasurements<Measured>(
  kind: string,
  about: unknown,
  shared: string,
): Remember<Measured> {
  const file = join(shared, `${kind}-${hashOf(about)}.json`)
  const known = readKnown<Measured>(file)
  return async (content, measure) => {
    const name = hashOf(content)
    const found = known[name]
    if (found !== undefined) return found
    const made = await measure()
    known[name] = made
    makeFolder(shared)
    writeAtomically(file, JSON.stringify(known))
    return made
  }
}

function readKnown<Measured>(file: string): Record<string, Measured> {
  if (!existsSync(file)) return {}
  try {
    // Written by this file; its name is the hash of what it is about.
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Measured>
  } catch {
    return {}
  }
}
