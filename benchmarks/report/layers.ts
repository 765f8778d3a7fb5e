// The layer table as people read it, in a report and on the terminal.
import type { Cell, Column, Table } from './blocks.ts'
import { formatBytes, formatCount, formatMs, formatPercent } from './format.ts'
import { counted } from './judge.ts'
import type { LayerRow, LayerTable } from './report.ts'

const missing: Cell = { text: '–', mark: 'muted' }

/** A column, and what it shows of a row; one that shows nothing of any row is left out. */
interface LayerColumn extends Column {
  readonly cell: (row: LayerRow) => Cell | undefined
}

const columns: readonly LayerColumn[] = [
  { title: 'Layer', align: 'left', cell: nameCell },
  { title: 'Operator', align: 'left', cell: ({ operator }) => ({ text: operator }) },
  {
    title: 'Output',
    align: 'right',
    cell: ({ outputShape }) =>
      outputShape ? { text: outputShape.length > 0 ? outputShape.join('×') : 'one' } : undefined,
  },
  { title: 'Share', align: 'right', cell: ({ share }) => ({ text: formatPercent(share, 1) }) },
  {
    title: 'Time',
    align: 'right',
    cell: ({ ms, spreadMs: [low, high] }) => ({
      text: timeOf(ms),
      note: `${timeOf(low)}–${timeOf(high)}`,
    }),
  },
  {
    title: 'MACs',
    align: 'right',
    cell: ({ macs }) => (macs ? { text: formatCount(macs) } : undefined),
  },
  {
    title: 'Weights',
    align: 'right',
    cell: ({ weightBytes }) => (weightBytes > 0 ? { text: formatBytes(weightBytes) } : undefined),
  },
  {
    title: 'Bits',
    align: 'right',
    cell: ({ bits }) =>
      bits === null ? undefined : { text: Number.isInteger(bits) ? `${bits}` : bits.toFixed(2) },
  },
  {
    title: 'Zeros',
    align: 'right',
    cell: ({ sparsity }) => (sparsity === null ? undefined : { text: formatPercent(sparsity, 1) }),
  },
  { title: 'SQNR', align: 'right', cell: ({ sqnrDb }) => noiseCell(sqnrDb) },
]

/** A profile counts in whole microseconds. */
const timeOf = (ms: number): string => (ms < 1 ? `${Math.round(ms * 1000)}\u202fµs` : formatMs(ms))

function noiseCell(sqnrDb: LayerRow['sqnrDb']): Cell | undefined {
  if (sqnrDb === null) return undefined
  if (sqnrDb === 'exact') return { text: 'exact' }
  return { text: `${sqnrDb.toFixed(1)}\u202fdB` }
}

/** So many names of fused layers are shown. */
const mostNames = 3

/** The end of a long name, which tells layers apart. */
const shortName = (name: string): string => (name.length > 40 ? `…${name.slice(-39)}` : name)

function nameCell({ name, layers, carriers = 0 }: LayerRow): Cell {
  if (layers.length === 0) return { text: shortName(name), note: 'added by ONNX Runtime' }
  // Where something is computed, what carries numbers to it and from it is not worth a name.
  const names = carriers < layers.length ? layers.slice(0, layers.length - carriers) : layers
  const rest = names.length - mostNames
  const shown = names.slice(0, mostNames).map(shortName).join(' + ')
  return { text: rest > 0 ? `${shown} + ${rest} more` : shown }
}

/** The rows of a layer table, what is in none of them, and the sum. */
export function layersTable(table: LayerTable, caption: string): Table {
  const { rows, others, copying, overhead, totalMs } = table
  const shown = columns.filter(({ cell }) => rows.some((row) => cell(row) !== undefined))
  const sumOf = (of: (row: LayerRow) => number) => rows.reduce((sum, row) => sum + of(row), 0)
  const line = (name: string, cells: Readonly<Record<string, Cell>>): Cell[] =>
    shown.map(({ title }) => (title === 'Layer' ? { text: name } : (cells[title] ?? { text: '' })))
  const part = (name: string, share: number, more: Readonly<Record<string, Cell>> = {}): Cell[] =>
    line(name, {
      Share: { text: formatPercent(share, 1) },
      Time: { text: timeOf(share * totalMs) },
      ...more,
    })
  const costs = (weightBytes: number, macs: number | null) => ({
    MACs: macs === null ? missing : { text: formatCount(macs) },
    Weights: { text: formatBytes(weightBytes) },
  })
  const known = rows.every(({ macs }) => macs !== null) && others?.macs !== null
  const macs = known ? sumOf((row) => row.macs ?? 0) + (others?.macs ?? 0) : null
  const bytes = sumOf(({ weightBytes }) => weightBytes) + (others?.weightBytes ?? 0)
  return {
    kind: 'table',
    caption,
    columns: shown.map(({ title, align }) => ({ title, align })),
    rows: [
      ...rows.map((row) => shown.map(({ cell }) => cell(row) ?? missing)),
      ...(others
        ? [part(`${others.count} others`, others.share, costs(others.weightBytes, others.macs))]
        : []),
      ...(copying > 0 ? [part('copying between devices', copying)] : []),
      part('around the nodes', overhead),
      part('total', 1, costs(bytes, macs)),
    ],
  }
}

/** How layer tables were measured, and what has to be known to read them; what holds for several is told once. */
export function layersNotes(tables: readonly LayerTable[]): string[] {
  const notes = tables.flatMap((table) => {
    const { provider, clock, random, rows } = table
    return [
      ...(random ? ['The inputs are random: no data was given.'] : []),
      ...(isHandingOver(table)
        ? [`The times are those of handing work over to the device: ${provider} notes no others.`]
        : clock === 'device'
          ? ['The times of nodes are those that the device noted itself.']
          : []),
      ...(rows.some(({ sqnrDb }) => sqnrDb !== null)
        ? [
            "SQNR is against the teacher's value of the same name or, where there is none, the one most like it; both models computed operator by operator.",
          ]
        : []),
    ]
  })
  return [...new Set([...profilings(tables), ...notes])]
}

/** How often models ran for their profiles, in a sentence for each setting. */
function profilings(tables: readonly LayerTable[]): string[] {
  const bySetting = new Map<string, number[]>()
  for (const { provider, batch, threads, runs } of tables) {
    const setting = `${provider}, batch ${batch}, ${counted(threads, 'thread')}`
    bySetting.set(setting, [...(bySetting.get(setting) ?? []), runs])
  }
  return [...bySetting].map(([setting, runs]) => {
    const [fewest, most] = [Math.min(...runs), Math.max(...runs)]
    const count = fewest === most ? `${most}` : `${fewest} to ${most}`
    return `${count} profiled runs on ${setting}; noting the times slows every node.`
  })
}

/** Whether all that is known of a GPU is how long the processor was busy with it. */
const isHandingOver = ({ clock, rows }: LayerTable): boolean =>
  clock === 'processor' && rows.some(({ ran }) => !/^CPU/.test(ran))
