// A data set over images that lie in memory as bytes; each is turned into numbers when it is read.
import { hashOf, sha256 } from '../base/hash.ts'
import type { Dataset, DatasetRecipe } from './dataset.ts'
import { preprocess } from './preprocess.ts'
import type { RawPart } from './readers/reader.ts'

/**
 * Bytes and labels with the hash of both, so that several data sets over them hash the bytes
 * once.
 */
export interface HashedPart extends RawPart {
  readonly hash: string
}

/** Hashes samples and labels; the samples are copied to memory that threads share, unless they lie there. */
export function hashed({ samples, labels }: RawPart): HashedPart {
  const hash = hashOf([sha256(samples), sha256(bytesOf(labels))])
  if (samples.buffer instanceof SharedArrayBuffer) return { samples, labels, hash }
  const shared = new Uint8Array(new SharedArrayBuffer(samples.length))
  shared.set(samples)
  return { samples: shared, labels, hash }
}

/**
 * Makes the data set of those images of a part whose indices are given, in their order.
 *
 * Nothing is copied besides the labels.
 */
export function imageDataset(recipe: DatasetRecipe): Dataset {
  const { source, part, indices, classes, preprocessing } = recipe
  const { from, to, pad, table, background, white } = preprocessing
  const bytes = from[0] * from[1] * from[2]
  const values = to[0] * to[1] * to[2]
  return {
    source,
    size: indices.length,
    shape: to,
    classes,
    labels: Int32Array.from(indices, (index) => part.labels[index]!),
    fingerprint: hashOf([part.hash, sha256(bytesOf(indices)), from, classes, pad, [...table]]),
    background,
    white,
    recipe,
    read(index, into, offset) {
      const image = indices[index]
      if (image === undefined || offset + values > into.length)
        throw new Error(`internal: sample ${index} of ${indices.length} read to offset ${offset}`)
      preprocess(preprocessing, part.samples, image * bytes, into, offset)
    },
  }
}

const bytesOf = (array: Int32Array | Uint32Array) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
