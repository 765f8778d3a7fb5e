// A data set over prepared records: images become numbers by the model's preprocessing when they are read.

import { bytesOf } from '../base/bytes.ts'
import { hashOf, sha256 } from '../base/hash.ts'
import { type ColumnMemory, lengthOf, type SampleColumn } from '../base/samples.ts'
import type { Dataset, DatasetRecipe, ImageColumn } from './dataset.ts'
import { arrange, isArranged, type Preprocessing, preprocess, preprocessing } from './preprocess.ts'
import type { ImageShape } from './readers/reader.ts'
import { openStore, type RecordReader, type StoredColumn } from './store.ts'

/** The column of a store with the target numbers; a feature cannot be called so. */
export const targetColumn = ':target'

/** A column as it is presented, and how it is read. */
interface Presented extends SampleColumn {
  write(index: number, into: ColumnMemory, offset: number): void
}

/**
 * Makes the data set of those records of a store whose indices are given, in their order.
 *
 * Nothing is copied. Images, `[C, H, W]` of bytes, are presented as float32 in the model's order, and besides, under
 * `<name>.raw` and `<name>.planes`, as the bytes themselves, `[H, W, C]` and `[C, H, W]`, for models that prepare their
 * own input.
 */
export function storedDataset(recipe: DatasetRecipe): Dataset {
  const { source, store, indices, labels, classes, group, targetNames, inputs } = recipe
  const read = openStore(store)
  const recordOf = (index: number): number => {
    const record = indices[index]
    if (record === undefined) throw new Error(`internal: sample ${index} of ${indices.length}`)
    return record
  }
  const targets = store.columns.find(({ name }) => name === targetColumn)
  const stored = store.columns.filter((column) => column !== targets)
  const images = new Map(
    stored
      .filter(isImage)
      .map((column) => [column, preprocessing(column.shape, recipe.preprocess)]),
  )
  const presented = stored.flatMap((column): Presented[] => {
    const ready = images.get(column)
    return ready
      ? imageColumns(column, ready, read, recordOf)
      : [plainColumn(column, read, recordOf)]
  })
  const [first] = images
  return {
    source,
    size: indices.length,
    columns: presented.map(({ write: _, ...column }) => column),
    inputs,
    classes,
    labels,
    group,
    targetNames,
    ...targetsOf(recipe, (index) => targets && floats(read(recordOf(index), targets))),
    fingerprint: hashOf([
      store.hash,
      store.columns,
      sha256(bytesOf(indices)),
      sha256(bytesOf(labels)),
      ...[classes, group, targetNames, recipe.preprocess, inputs ?? null],
      ...(recipe.targetClasses ? [sha256(bytesOf(recipe.targetClasses.order))] : []),
    ]),
    image: first && imageOf(presented, first, read, recordOf),
    recipe,
    read(index, column, into, offset) {
      const { shape, write } = presented[column]!
      checkRoom(index, shape, into, offset)
      write(index, into, offset)
    },
  }
}

/** Writing beyond the end of an array goes unnoticed otherwise. */
function checkRoom(index: number, shape: readonly number[], into: ColumnMemory, offset: number) {
  if (offset + lengthOf(shape) > into.length)
    throw new Error(`internal: sample ${index} read to offset ${offset} of ${into.length}`)
}

/** The target numbers of samples that have some. */
function targetsOf(
  recipe: DatasetRecipe,
  stored: (index: number) => Float32Array | undefined,
): Pick<Dataset, 'targetWidth' | 'target'> {
  const { labels, targetClasses } = recipe
  const { targetWidth, target } = storedTargets(recipe, stored)
  const unknown = targetClasses?.form === 'positions' ? -1 : Number.NaN
  return {
    targetWidth,
    target(index, into, offset) {
      if (labels[index]! < 0) into.fill(unknown, offset, offset + targetWidth)
      else target(index, into, offset)
    },
  }
}

/** Target numbers, with classes renumbered where they have another order than when they were stored. */
function storedTargets(
  { store, targetClasses }: DatasetRecipe,
  stored: (index: number) => Float32Array | undefined,
): Pick<Dataset, 'targetWidth' | 'target'> {
  const width = store.columns.find(({ name }) => name === targetColumn)?.shape[0] ?? 0
  const { form, order, count } = targetClasses ?? {}
  if (!order || form === undefined)
    return {
      targetWidth: width,
      target(index, into, offset) {
        const values = stored(index)
        if (values) into.set(values, offset)
      },
    }
  if (form === 'positions')
    return {
      targetWidth: width,
      target(index, into, offset) {
        for (const [position, value] of stored(index)?.entries() ?? [])
          into[offset + position] = value < 0 ? value : order[value]!
      },
    }
  return {
    targetWidth: count ?? width,
    target(index, into, offset) {
      into.fill(0, offset, offset + (count ?? width))
      for (const [place, value] of stored(index)?.entries() ?? [])
        into[offset + order[place]!] = value
    },
  }
}

const isImage = ({ dtype, shape }: StoredColumn) => dtype === 'uint8' && shape.length === 3

function plainColumn(
  column: StoredColumn,
  read: RecordReader,
  recordOf: (index: number) => number,
): Presented {
  const { name, dtype, shape, ids } = column
  return {
    ...{ name, dtype, shape, ...(ids === undefined ? {} : { ids }) },
    write(index, into, offset) {
      const bytes = read(recordOf(index), column)
      into.set(typed(dtype, bytes), offset)
    },
  }
}

function imageColumns(
  column: StoredColumn,
  ready: Preprocessing,
  read: RecordReader,
  recordOf: (index: number) => number,
): Presented[] {
  const { name } = column
  const [channels, height, width] = column.shape as ImageShape
  const write = writerOf(ready)
  return [
    {
      ...{ name, dtype: 'float32', shape: ready.shape },
      write(index, into, offset) {
        // Columns are read into memory of their own type.
        write(read(recordOf(index), column), into as Float32Array, offset)
      },
    },
    {
      ...{ name: `${name}.raw`, dtype: 'uint8', shape: [height, width, channels] },
      write(index, into, offset) {
        const bytes = read(recordOf(index), column)
        for (let channel = 0, at = 0; channel < channels; channel++)
          for (let pixel = 0; pixel < height * width; pixel++)
            into[offset + pixel * channels + channel] = bytes[at++]!
      },
    },
    { ...plainColumn(column, read, recordOf), name: `${name}.planes` },
  ]
}

function imageOf(
  columns: readonly Presented[],
  [column, ready]: readonly [StoredColumn, Preprocessing],
  read: RecordReader,
  recordOf: (index: number) => number,
): ImageColumn {
  const { to, background, white } = ready
  const scratch = new Float32Array(isArranged(ready) ? lengthOf(to) : 0)
  return {
    column: columns.findIndex(({ name }) => name === column.name),
    shape: to as ImageShape,
    background,
    white,
    read(index, into, offset) {
      checkRoom(index, to, into, offset)
      preprocess(ready, read(recordOf(index), column), 0, into, offset)
    },
    arrange(values, offset) {
      if (scratch.length === 0) return
      const image = values.subarray(offset, offset + scratch.length)
      scratch.set(image)
      arrange(ready, scratch, 1, image)
    },
  }
}

/** Writes a stored image as the model takes it. */
function writerOf(ready: Preprocessing) {
  if (!isArranged(ready))
    return (bytes: Uint8Array, into: Float32Array, offset: number) =>
      preprocess(ready, bytes, 0, into, offset)
  const planes = new Float32Array(lengthOf(ready.to))
  return (bytes: Uint8Array, into: Float32Array, offset: number) => {
    preprocess(ready, bytes, 0, planes, 0)
    arrange(ready, planes, 1, into.subarray(offset, offset + planes.length))
  }
}

function typed(dtype: StoredColumn['dtype'], bytes: Uint8Array): ColumnMemory {
  if (dtype === 'uint8') return bytes
  return dtype === 'float32'
    ? floats(bytes)
    : new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}

const floats = (bytes: Uint8Array) =>
  new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
