// Reading a report that a run left behind; what is in the file is hostile until it was checked.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, UserError } from '../../base/errors.ts'
import { explainFileError } from '../../base/files.ts'
import { checkReport, type Report } from './report.ts'

/** Reports take a few MB at most; a file of any size must not take the memory. */
const maximumBytes = 2 ** 28

/** The path of the report that is meant: a file, or the one in the folder of a run. */
export function reportPath(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? join(path, 'report.json') : path
}

/** Reads and checks the report of a run, given as its folder or as the file; what is wrong is a {@link UserError}. */
export function readReport(runOrFile: string): Report {
  const path = reportPath(runOrFile)
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found)
    throw new UserError(
      `${path}: no such report — give the folder of a finished run, as runs/<name>, or its report.json`,
    )
  if (found.size > maximumBytes)
    throw new UserError(
      `${path}: too long for a report: ${found.size} bytes — give the report.json of a run`,
    )
  return checkReport(parsed(path), path)
}

function parsed(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw new UserError(
      `${path}: not JSON: ${messageOf(thrown).replace(/\s+/g, ' ')} — run the recipe again`,
    )
  }
}
