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
 * `about` (a model's bytes, samples, a provider). Damaged files are measured anew, and so is what `isSound` refuses.
 */
export function openMeasurements<Measured>(
  kind: string,
  about: unknown,
  shared: string,
  isSound: (found: Measured) => boolean = () => true,
): Remember<Measured> {
  const { content: known, write } = openKept<Record<string, Measured>>(kind, about, shared, {})
  return async (content, measure) => {
    const name = hashOf(content)
    const found = known[name]
    if (found !== undefined && isSound(found)) return found
    const made = await measure()
    known[name] = made
    write()
    return made
  }
}

/** The content of such a file, `empty` where there is none or it is damaged, and a way to write what became of it. */
export function openKept<Content extends object>(
  kind: string,
  about: unknown,
  shared: string,
  empty: Content,
): { readonly content: Content; write(): void } {
  const file = join(shared, `${kind}-${hashOf(about)}.json`)
  const content = read<Content>(file) ?? empty
  return {
    content,
    write() {
      makeFolder(shared)
      writeAtomically(file, JSON.stringify(content))
    },
  }
}

function read<Content>(file: string): Content | undefined {
  if (!existsSync(file)) return undefined
  try {
    // Written by this file; its name is the hash of what it is about.
    return JSON.parse(readFileSync(file, 'utf8')) as Content
  } catch {
    return undefined
  }
}
