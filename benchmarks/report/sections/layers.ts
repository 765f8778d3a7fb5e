// What each layer costs, and what compression did to it.
import type { Block } from '../blocks.ts'
import { everyVariant } from '../judge.ts'
import { layersNotes, layersTable } from '../layers.ts'
import type { Report } from '../report.ts'

/** The costliest layers of every model that was profiled; what holds for all of them is told once. */
export function layers(report: Report): Block[] {
  const profiled = everyVariant(report).flatMap(({ id, layers: table }) =>
    table ? [{ id, table }] : [],
  )
  const notes = layersNotes(profiled.map(({ table }) => table))
  return [
    ...profiled.map(({ id, table }) => layersTable(table, `Layers of ${id}`)),
    ...notes.map((text) => ({ kind: 'paragraph', text }) as const),
  ]
}
