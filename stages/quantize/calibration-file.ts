// Ranges of activations as a file that people can read, change and give back: JSON, a value a line.
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { messageOf, UserError } from '../../base/errors.ts'
import { explainFileError, makeFolder, writeAtomically } from '../../base/files.ts'
import type { Range } from './arithmetic.ts'

const format = 'condense-calibration'

const schema = z.strictObject({
  format: z.literal(format),
  /** What the ranges were measured on and how, for people. */
  measured: z.string(),
  /** Least and greatest value by name of the activation. */
  ranges: z.record(
    z.string(),
    z
      .tuple([z.number(), z.number()])
      .refine(([min, max]) => min <= max, { message: 'the first number must not be larger' }),
  ),
})

/** Ranges by the name of the value, and where they come from. */
export interface SavedRanges {
  /** How they were measured, for people, e.g. "minmax over 512 samples". */
  readonly measured: string
  readonly ranges: ReadonlyMap<string, Range>
}

/** Reads a file of ranges; one that is missing or damaged is a {@link UserError}. */
export function readCalibration(path: string): SavedRanges {
  const { measured, ranges } = parse(path, contentOf(path))
  return {
    measured,
    ranges: new Map(Object.entries(ranges).map(([name, [min, max]]) => [name, { min, max }])),
  }
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

function parse(path: string, text: string): z.output<typeof schema> {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (thrown) {
    throw new UserError(
      `${path}: is not JSON: ${messageOf(thrown).split('\n')[0]} — write ranges with calibration.save`,
      { cause: thrown },
    )
  }
  const parsed = schema.safeParse(content)
  if (parsed.success) return parsed.data
  const { path: at, message } = parsed.error.issues[0]!
  throw new UserError(
    `${path}: no file of ranges: ${at.length > 0 ? `${at.join('.')}: ` : ''}${message} — write one with calibration.save`,
  )
}

/** Writes ranges in one atomic step, making the folder; a {@link UserError} says why it cannot. */
export function writeCalibration(path: string, { measured, ranges }: SavedRanges): void {
  const lines = [...ranges].map(
    ([name, { min, max }]) => `    ${JSON.stringify(name)}: ${JSON.stringify([min, max])}`,
  )
  makeFolder(dirname(path))
  writeAtomically(
    path,
    `{\n  "format": "${format}",\n  "measured": ${JSON.stringify(measured)},\n  "ranges": {\n${lines.join(',\n')}\n  }\n}\n`,
  )
}
