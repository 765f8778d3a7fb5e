// Real data sets, read whole, and the digests of what is downloaded.
import { createHash } from 'node:crypto'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect } from '@jest/globals'
import { extract as tarReader } from 'tar-stream'
import { downloads } from '../../data/downloads.ts'
import { csv, tsv } from '../../data/readers/delimited.ts'
import { expectKnownPixels } from '../data/known-pixels.ts'
import { expectPinned, shared } from '../data/pinned.ts'
import { opened, rowsOf } from '../data/readers/opened.ts'
import { itWithShared, sharedData } from '../support/shared.ts'

itWithShared.each(['mnist', 'fashion-mnist', 'cifar10'] as const)(
  'reads the real %s',
  expectKnownPixels,
)

describe('reading delimited text', () => {
  itWithShared('reads adult: names from the recipe, ends of labels cut', async () => {
    const names = `age workclass fnlwgt education education-num marital-status occupation relationship
      race sex capital-gain capital-loss hours-per-week native-country income`
    const table = await opened(
      csv,
      join(sharedData, 'tabular/adult-train.csv.gz'),
      { header: names.split(/\s+/), comment: '|', stripSuffix: { income: '.' } },
      { testPath: join(sharedData, 'tabular/adult-test.csv.gz') },
    )
    const counts = new Map<unknown, number>()
    let missing = 0
    for (const row of [...(await rowsOf(table.train)), ...(await rowsOf(table.test))]) {
      counts.set(row.at(-1), (counts.get(row.at(-1)) ?? 0) + 1)
      if (row.includes(null)) missing++
    }
    // As the set's own description (adult.names) counts them over both parts.
    expect(Object.fromEntries(counts)).toEqual({ '<=50K': 37155, '>50K': 11687 })
    expect(missing).toBe(48842 - 45222)
  })

  itWithShared('reads banking77 and sst2 from their folders', async () => {
    const banking = await opened(csv, join(sharedData, 'banking77'), {})
    expect(await rowsOf(banking.train)).toHaveLength(10003)
    expect(await rowsOf(banking.test)).toHaveLength(3080)
    const sst2 = await opened(tsv, join(sharedData, 'sst2'), { header: ['text', 'label'] })
    const sizes = []
    for (const part of [sst2.train, sst2.validation, sst2.test])
      sizes.push((await rowsOf(part)).length)
    expect(sizes).toEqual([6920, 872, 1821])
  })
})

const hash = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex')

describe('the real data', () => {
  itWithShared.each(['mnist', 'fashion-mnist'] as const)(
    'of %s has the pinned digests',
    expectPinned,
  )

  itWithShared('of fsdd has the pinned digest of its recordings', async () => {
    const reader = tarReader()
    reader.end(gunzipSync(shared('fsdd', 'fsdd-recordings.tar.gz')))
    const lines = new Map<string, string>()
    for await (const entry of reader) {
      const pieces: Buffer[] = []
      for await (const piece of entry) pieces.push(piece as Buffer)
      const [, name] =
        downloads.fsdd.content.archive.keep.exec(`repository/${entry.header.name}`) ?? []
      if (name) lines.set(name, `${hash(Buffer.concat(pieces))}  ${basename(name)}\n`)
    }
    const sorted = [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line)
    const { files, contentDigest } = downloads.fsdd.content.archive
    expect(sorted).toHaveLength(files)
    expect(hash(sorted.join(''))).toBe(contentDigest)
  })
})
