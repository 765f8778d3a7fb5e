// What a reader makes of a data set: rows of named columns, read as often as they are needed and never held.

/** A file on disk that a cell names; it is opened when a feature wants its content. */
export interface FileCell {
  /** Absolute path, checked to lie inside the data set's folder. */
  readonly path: string
}

/** Numbers of one shape. */
export interface TensorCell {
  /** Without the axis of the samples; `[C, H, W]` for images in planes. */
  readonly shape: readonly number[]
  readonly values: Uint8Array | Int8Array | Uint16Array | Int16Array | Int32Array | Float32Array
}

/**
 * One value of a row; null where it is missing.
 *
 * Numbers are finite: what a file calls not a number is missing. Bytes are an encoded file (an image inside a table).
 */
export type Cell =
  | number
  | string
  | null
  | Uint8Array
  | readonly (number | string | null)[]
  | FileCell
  | TensorCell

/** What the cells of a column are. */
export type ColumnType = 'number' | 'text' | 'list' | 'file' | 'bytes' | 'tensor'

/** A column of a table. */
export interface TableColumn {
  readonly name: string
  readonly type: ColumnType
}

/** The cells of a row in the order of the table's columns. */
export type Row = readonly Cell[]

/** Rows that belong together: the training part, the test part. */
export interface Part {
  /** Where they come from, for messages: the path of a file or folder. */
  readonly where: string
  /** Where a row comes from, for messages, as `adult.csv: line 17`; `where` and the row's number unless told. */
  readonly whereOf?: (row: number) => string
  /** How many rows there are, where that is known beforehand. */
  readonly size?: number
  /** So many consecutive rows belong together (a pair, a right answer and its rivals); 1 unless told. */
  readonly group?: number
  /**
   * Goes through the rows; the same ones in the same order each time it is called.
   *
   * What is wrong in the file is a `UserError` that names file, place and value.
   */
  rows(): AsyncIterable<Row> | Iterable<Row>
}

/** A data set as its reader sees it. */
export interface Table {
  readonly columns: readonly TableColumn[]
  readonly train: Part
  /** Present where the format or the recipe has a part for validation; otherwise it is held out of training. */
  readonly validation?: Part
  /** Present where the format or the recipe has a test part; otherwise it is held out of training. */
  readonly test?: Part
  /** Further rows, with the cells that features read alone, whose labels are not known. */
  readonly unlabelled?: Part
  /** The column with the label, where the format itself tells (the folders of images). */
  readonly label?: string
  /** Names of the classes in the order of their numbers, where the format itself tells. */
  readonly classes?: readonly string[]
  /** True where going through the rows costs next to nothing: they need no copy on disk. */
  readonly inMemory?: boolean
}
