// The limits of the recipe, kept or not.
import type { Block } from '../blocks.ts'
import { formatNumber } from '../format.ts'
import { counted, everyVariant } from '../judge.ts'
import type { Report } from '../report.ts'
import { missing, passedCell, variantCell } from './cells.ts'

/** Shows every gate with its value. */
export function gates(report: Report): Block[] {
  if (report.gates.length === 0) {
    return [{ kind: 'paragraph', text: 'The recipe sets no gates: nothing here can fail the run.' }]
  }
  const failed = report.gates.filter(({ passed }) => !passed).length
  const total = counted(report.gates.length, 'gate')
  return [
    {
      kind: 'table',
      caption: failed === 0 ? `${total} passed` : `${failed} of ${total} failed`,
      columns: [
        { title: 'Gate', align: 'left' },
        { title: 'Variant', align: 'left' },
        { title: 'Limit', align: 'right', unit: 'of the teacher' },
        { title: 'Value', align: 'right', unit: 'of the teacher' },
        { title: 'Result', align: 'left' },
      ],
      rows: report.gates.map(({ name, variant, limit, value, passed }) => {
        const limited = everyVariant(report).find(({ id }) => id === variant)
        return [
          { text: name },
          limited ? variantCell(report, limited) : { text: variant },
          { text: limit },
          value === null ? missing : { text: formatNumber(value) },
          passedCell(passed),
        ]
      }),
    },
  ]
}
