// The report for programs.
import { checkReport, type Report } from './report.ts'

/** Renders the report as report.json; one that breaks the contract is a bug of whoever built it. */
export function renderJson(report: Report): string {
  try {
    checkReport(report)
  } catch (thrown) {
    throw new Error('internal: the report breaks its own contract', { cause: thrown })
  }
  return `${JSON.stringify(report, undefined, 2)}\n`
}
