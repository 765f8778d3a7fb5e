// What a reader of a data format is: a folder in, bytes and labels in memory out.

/** Channels, height and width of one image. */
export type ImageShape = readonly [channels: number, height: number, width: number]

/** Where a data set lies and what is known of it beforehand. */
export interface Place {
  /** The folder that holds the files. */
  readonly folder: string
  /**
   * Names of the classes, for formats that do not carry them; a file in the folder overrules
   * them.
   */
  readonly classes?: readonly string[] | undefined
}

/** What is known of a data set without reading its samples. */
export interface RawFacts {
  readonly shape: ImageShape
  readonly classes: readonly string[]
  readonly trainSize: number
  readonly testSize: number
}

/**
 * Images as they lie in the file: `[labels.length, C, H, W]` bytes, row-major, and the label of
 * each.
 */
export interface RawPart {
  readonly samples: Uint8Array
  readonly labels: Int32Array
}

/** A whole data set in memory; samples stay bytes until a batch is read. */
export interface RawData {
  readonly shape: ImageShape
  readonly classes: readonly string[]
  readonly train: RawPart
  readonly test: RawPart
}

/**
 * A data format. Both functions throw a `UserError` that names the file for whatever is wrong in
 * it.
 */
export interface Reader {
  /** Checks that the files are there and that their headers and sizes agree. */
  inspect(place: Place): Promise<RawFacts>
  /** Reads everything; `log` is told what the user should know of it. */
  read(place: Place, log: (line: string) => void): Promise<RawData>
}
