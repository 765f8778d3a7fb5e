// Opening data with a reader in tests, and reading all of its rows.
import { expect } from '@jest/globals'
import type { z } from 'zod'
import type { Reader } from '../../../data/readers/reader.ts'
import type { Cell, Part, Row, Table, TensorCell } from '../../../data/table.ts'

/** Opens a place; `log` receives what the user is told. */
export async function opened<Options extends z.ZodObject>(
  reader: Reader<Options>,
  path: string,
  options: z.input<Options>,
  {
    testPath,
    classes,
    log = [],
  }: { testPath?: string; classes?: readonly string[]; log?: string[] } = {},
): Promise<Table> {
  const context = { log: (line: string) => void log.push(line) }
  return await reader.open({ path, testPath, classes }, reader.options.parse(options), context)
}

/** All rows of a part. */
export async function rowsOf(part: Part | undefined): Promise<Row[]> {
  const rows: Row[] = []
  for await (const row of part?.rows() ?? []) rows.push(row)
  return rows
}

/** Opens a place and reads its training part, for what must fail on one of the two. */
export async function readAll<Options extends z.ZodObject>(
  reader: Reader<Options>,
  path: string,
  options: z.input<Options>,
): Promise<Row[]> {
  return await rowsOf((await opened(reader, path, options)).train)
}

/** A cell with typed arrays written out, for comparisons. */
export function plain(cell: Cell | undefined): unknown {
  if (cell instanceof Uint8Array) return [...cell]
  if (cell !== null && typeof cell === 'object' && 'values' in cell && 'shape' in cell)
    return { type: cell.values.constructor.name, shape: [...cell.shape], values: [...cell.values] }
  return cell
}

/** Images of a part, whose first cell is an image of bytes and whose second is the label. */
export async function imagesIn(part: Part | undefined) {
  const rows = await rowsOf(part)
  const cells = rows.map(([cell]) => cell as TensorCell)
  expect(cells.every(({ values }) => values instanceof Uint8Array)).toBe(true)
  return {
    shapes: [...new Set(cells.map(({ shape }) => shape.join()))],
    samples: Buffer.concat(cells.map(({ values }) => values as Uint8Array)),
    labels: rows.map(([, label]) => label as number),
  }
}
