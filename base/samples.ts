// What the data gives and whoever runs models takes: numbered samples of named tensors, and how models are fed with
// them.

/** A tensor that every sample has. */
export interface SampleColumn {
  readonly name: string
  readonly dtype: 'float32' | 'int32' | 'uint8'
  /** Without the axis of the samples. */
  readonly shape: readonly number[]
  /** Of ids: how many different ones there are. */
  readonly ids?: number
}

/** The memory that the values of a column are written to. */
export type ColumnMemory = Float32Array | Int32Array | Uint8Array

/** Where a model's input comes from. */
export type InputSource =
  /** A column; with `chunk`, so many values of its last axis at a time, as the model carries state along. */
  | { readonly column: string; readonly chunk?: number | undefined }
  /** The same numbers always. */
  | { readonly constant: number | readonly number[] }
  /** What the named output gave for the chunk before; zeros for the first. */
  | { readonly carry: string }

/** Numbered samples; reading one is pure. */
export interface Samples {
  readonly size: number
  readonly columns: readonly SampleColumn[]
  /** By the name of a model's input; inputs that are not here get the column of their name, or the only one. */
  readonly inputs?: Readonly<Record<string, InputSource>> | undefined
  /** Writes one sample's values of a column, row-major, to memory of the column's type from `offset` on. */
  read(index: number, column: number, into: ColumnMemory, offset: number): void
}

/** How many numbers a tensor of this shape has. */
export const lengthOf = (shape: readonly number[]): number =>
  shape.reduce((product, dim) => product * dim, 1)

/** Memory for the values of a column for so many samples. */
export function columnMemory({ dtype, shape }: SampleColumn, samples: number): ColumnMemory {
  const length = samples * lengthOf(shape)
  if (dtype === 'float32') return new Float32Array(length)
  return dtype === 'int32' ? new Int32Array(length) : new Uint8Array(length)
}

/** Some of the samples, renumbered from 0; nothing is copied. */
export function pick<Some extends Samples>(samples: Some, indices: ArrayLike<number>): Samples {
  const { columns, inputs } = samples
  return {
    size: indices.length,
    columns,
    inputs,
    read: (index, column, into, offset) => samples.read(indices[index]!, column, into, offset),
  }
}

/** The first samples; nothing is copied. */
export const firstSamples = (samples: Samples, count: number): Samples => ({
  columns: samples.columns,
  inputs: samples.inputs,
  size: Math.min(count, samples.size),
  read: (index, column, into, offset) => samples.read(index, column, into, offset),
})
