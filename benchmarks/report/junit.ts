// The report for continuous integration: JUnit's XML with a test case for each variant and each gate.
import { printable } from './format.ts'
import type { Gate, Report, Variant } from './report.ts'

interface Case {
  readonly group: string
  readonly name: string
  /** Why it failed; it passed where there is none. */
  readonly failure?: string | undefined
}

/** Renders variants and gates as test cases; a failed one is what ends a run with exit code 3. */
export function renderJunit(report: Report): string {
  const cases = [...report.variants.map(variantCase), ...report.gates.map(gateCase)]
  const failures = cases.filter(({ failure }) => failure !== undefined).length
  const counts = `tests="${cases.length}" failures="${failures}" errors="0"`
  const name = escapeXml(`condense: ${report.name}`)
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="${name}" ${counts}>
<testsuite name="${name}" ${counts} skipped="0" timestamp="${escapeXml(report.createdAt)}">
${cases.map(renderCase).join('\n')}
</testsuite>
</testsuites>
`
}

const variantCase = ({ id, failed }: Variant): Case => ({
  group: 'condense.variants',
  name: `${id} is a result`,
  failure: failed,
})

const gateCase = ({ name, variant, limit, value, passed }: Gate): Case => ({
  group: 'condense.gates',
  name: `${variant}: ${name} ${limit}`,
  failure: passed ? undefined : `${name} is ${value ?? 'not measured'}, the limit is ${limit}`,
})

function renderCase({ group, name, failure }: Case): string {
  const open = `<testcase classname="${escapeXml(group)}" name="${escapeXml(name)}"`
  return failure === undefined
    ? `${open}/>`
    : `${open}><failure message="${escapeXml(failure)}"/></testcase>`
}

/** Makes a text safe in a quoted attribute of XML 1.0, which knows no control characters and no half of a surrogate pair. */
function escapeXml(text: string): string {
  return printable(text)
    .replace(/[\p{Cs}\ufffe\uffff]/gu, '\ufffd')
    .replace(/[&<>"'\t\n]/g, (character) => `&#${character.charCodeAt(0)};`)
}
