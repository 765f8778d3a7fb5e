// What a reader of a data format is: files in, a table of rows out.
import type { z } from 'zod'
import type { Table } from '../table.ts'

/** Channels, height and width of one image. */
export type ImageShape = readonly [channels: number, height: number, width: number]

/** Where a data set lies and what is known of it beforehand. */
export interface Place {
  /** The folder that holds the files, or the one file of the training part. */
  readonly path: string
  /** The file (or folder) of the test part, where the recipe names one. */
  readonly testPath?: string | undefined
  /**
   * Names of the classes, for formats that do not carry them; a file in the folder overrules
   * them.
   */
  readonly classes?: readonly string[] | undefined
}

/** What a reader is told besides. */
export interface ReaderContext {
  /** Told what the user should know of the files. */
  readonly log: (line: string) => void
}

/**
 * A data format, one row of the table of readers.
 *
 * `open` looks at headers and sizes alone as far as it can and throws a `UserError` that names the file for whatever
 * is wrong; damage further in shows when the rows are read.
 */
export interface Reader<Options extends z.ZodObject = z.ZodObject> {
  /** One line for people: what files it reads. */
  readonly summary: string
  /** Options of the format's own, a part of the recipe's `data` section under the format's name; may be empty. */
  readonly options: Options
  open(place: Place, options: z.output<Options>, context: ReaderContext): Promise<Table>
}

/** The identity; it exists so that `open` sees the type of its options. */
export function defineReader<Options extends z.ZodObject>(
  reader: Reader<Options>,
): Reader<Options> {
  return reader
}
