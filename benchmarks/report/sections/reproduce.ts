// Everything needed to get the same files again: machine, data, seed, recipe, command.
import { Document, isScalar, visit } from 'yaml'
import type { Block } from '../blocks.ts'
import { formatBytes } from '../format.ts'
import { counted } from '../judge.ts'
import type { Report } from '../report.ts'

/** Shows the conditions of the run, its recipe and the command that repeats it. */
export function reproduce(report: Report): Block[] {
  const { host, data } = report
  const conditions: readonly (readonly [string, string])[] = [
    ['Created', report.createdAt],
    ['Seed', String(report.seed)],
    ...(report.task === undefined ? [] : [['Task', report.task] as const]),
    ['Data', data.source],
    [
      'Samples',
      `${data.train} to train, ${data.validation} to validate, ${data.calibration} to calibrate, ${data.test} to test`,
    ],
    ['Data fingerprint', data.fingerprint],
    ['Processor', `${host.cpu}, ${counted(host.cores, 'core')}`],
    ['Memory', formatBytes(host.memoryBytes)],
    ['Instruction sets', host.flags.length > 0 ? host.flags.join(', ') : 'unknown'],
    ...(host.system === undefined ? [] : [['System', host.system] as const]),
    ...(host.condense === undefined ? [] : [['Condense', host.condense] as const]),
    ['Node', host.node],
    ['ONNX Runtime', host.onnxruntime],
  ]
  return [
    {
      kind: 'table',
      caption: 'Conditions',
      columns: [
        { title: 'What', align: 'left' },
        { title: 'Value', align: 'left' },
      ],
      rows: conditions.map(([what, value]) => [{ text: what }, { text: value }]),
    },
    ...(report.recipe ? recipe(report.name, report.recipe) : []),
  ]
}

function recipe(name: string, resolved: NonNullable<Report['recipe']>): Block[] {
  // The name comes from outside, and people paste commands.
  const file = /^[A-Za-z0-9][\w.-]*$/.test(name) ? `${name}.yaml` : 'recipe.yaml'
  return [
    {
      kind: 'code',
      caption: `The resolved recipe, ${file}`,
      language: 'yaml',
      text: yamlOf(resolved),
    },
    { kind: 'code', caption: 'The command', language: 'sh', text: `npx condense run ${file}\n` },
  ]
}

function yamlOf(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false })
  // Short lists read better in one line: [8, 16].
  visit(document, {
    Seq: (_key, list) => {
      list.flow = list.items.every(isScalar)
    },
  })
  return document.toString({ lineWidth: 96, flowCollectionPadding: false })
}
