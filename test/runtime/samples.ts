// Samples made of lists of numbers, for tests of how models are fed.
import type { InputSource, SampleColumn, Samples } from '../../base/samples.ts'

/** A column with its values, one list a sample. */
export interface Content extends SampleColumn {
  readonly values: readonly (readonly number[])[]
}

/** Makes samples of columns that are all equally long. */
export function samplesOf(
  columns: readonly Content[],
  inputs?: Readonly<Record<string, InputSource>>,
): Samples {
  return {
    size: columns[0]!.values.length,
    columns: columns.map(({ values: _, ...column }) => column),
    inputs,
    read(index, column, into, offset) {
      into.set(columns[column]!.values[index]!, offset)
    },
  }
}

/** A column whose numbers go up by one from sample to sample and from place to place. */
export function counting(
  name: string,
  dtype: SampleColumn['dtype'],
  shape: readonly number[],
  samples: number,
): Content {
  const width = shape.reduce((product, dim) => product * dim, 1)
  const values = Array.from({ length: samples }, (_, sample) =>
    Array.from({ length: width }, (_, place) => sample * width + place),
  )
  return { name, dtype, shape, values }
}
