// The limits of the recipe, kept or not.
import type { Block } from '../blocks.ts'
import { formatNumber } from '../format.ts'
import { counted, everyVariant } from '../judge.ts'
import type { Report } from '../report.ts'
import { missing, passedCell, variantCell } from './cells.ts'

/** Shows every gate with its value. */
export function gates(report: Report): Block[] {
  if (report.gates.length === 0) {
    if (!report.recipe) return []
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
        { title: 'Limit', align: 'right' },
        { title: 'Value', align: 'right' },
        { title: 'Result', align: 'left' },
      ],
      rows: report.gates.map(({ name, variant, limit, value, passed }) => {
        const limited = everyVariant(report).find(({ id }) => id === variant)
        return [
          { text: name, note: isAbsolute(name) ? 'of the variant itself' : 'of the teacher' },
          limited ? variantCell(report, limited) : { text: variant },
          { text: limit },
          value === null ? missing : { text: formatNumber(value) },
          passedCell(passed),
        ]
      }),
    },
  ]
}

/** Whether a gate limits the figure itself and not its relation to the teacher's. */
const isAbsolute = (name: string): boolean => name === 'accuracy' || name.startsWith('metrics.')
