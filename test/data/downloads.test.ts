import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { pack } from 'tar-stream'
import { Interrupted, UserError } from '../../base/errors.ts'
import { type DownloadSet, ensureSet } from '../../data/download-set.ts'
import { downloads, ensureDownloaded } from '../../data/downloads.ts'
import { temporaryFolder } from '../support/folder.ts'
import { sendFile, startServer } from '../support/server.ts'
import { itWithShared } from '../support/shared.ts'
import { expectPinned, serve, silent } from './pinned.ts'

const hash = (content: string | Uint8Array, algorithm = 'sha256') =>
  createHash(algorithm).update(content).digest('hex')

describe('the table of downloads', () => {
  it.each(Object.entries<DownloadSet>(downloads))('is well-formed: %s', (_name, set) => {
    expect(set.folder).toMatch(/^[\w-]+$/)
    for (const mirror of set.mirrors) expect(mirror).toMatch(/^https?:\/\/[^?#]+\/$/)
    const digests = 'files' in set.content ? set.content.files : [set.content.archive]
    for (const { digest } of digests)
      if (digest)
        expect(digest.value).toMatch(
          digest.algorithm === 'md5' ? /^[0-9a-f]{32}$/ : /^[0-9a-f]{64}$/,
        )
      else expect(set.content).toHaveProperty('archive.contentDigest')
  })
})

const plain = (name: string, text: string) => ({
  name,
  maximumBytes: 1000,
  digest: { algorithm: 'sha256' as const, value: hash(text) },
})

const twoFiles: DownloadSet = {
  folder: 'two',
  megabytes: 1,
  mirrors: ['http://127.0.0.1:1/'],
  content: { files: [plain('a.csv', 'content of a'), plain('b.csv', 'content of b')] },
}

const contentOfTwo = new Map([
  ['/x/a.csv', Buffer.from('content of a')],
  ['/x/b.csv', Buffer.from('content of b')],
])

describe('a set of files', () => {
  it('is downloaded once', async () => {
    const { origin, received } = await serve(contentOfTwo)
    const cache = temporaryFolder()
    const log: string[] = []
    const options = { ...silent, mirrors: [`${origin}/x/`], log: (line: string) => log.push(line) }
    const folder = await ensureSet('two', twoFiles, cache, options)
    expect(folder).toBe(join(cache, 'data', 'two'))
    expect(readFileSync(join(folder, 'b.csv'), 'utf8')).toBe('content of b')
    expect(await ensureSet('two', twoFiles, cache, options)).toBe(folder)
    expect(received).toHaveLength(2)
    expect(log).toEqual([`downloading 'two', about 1 MB, to ${folder}`])
  })

  it('keeps the files that are right and replaces those that are not', async () => {
    const { origin, received } = await serve(contentOfTwo)
    const cache = temporaryFolder()
    const folder = join(cache, 'data', 'two')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'a.csv'), 'content of a')
    writeFileSync(join(folder, 'b.csv'), 'content of c')
    const options = { ...silent, mirrors: [`${origin}/x/`] }
    await ensureSet('two', twoFiles, cache, options)
    expect(received.map(({ path }) => path)).toEqual(['/x/b.csv'])
    expect(readFileSync(join(folder, 'b.csv'), 'utf8')).toBe('content of b')
    rmSync(join(folder, 'a.csv'))
    await ensureSet('two', twoFiles, cache, options)
    expect(received.map(({ path }) => path)).toEqual(['/x/b.csv', '/x/a.csv'])
  })

  it('takes each file from the first mirror that has the right one', async () => {
    const { origin } = await serve(contentOfTwo)
    const wrong = await serve(new Map([['/a.csv', Buffer.from('something else')]]))
    const log: string[] = []
    const options = {
      ...silent,
      mirrors: ['http://127.0.0.1:1/', `${wrong.origin}/`, `${origin}/x/`],
      log: (line: string) => log.push(line),
    }
    const folder = await ensureSet('two', twoFiles, temporaryFolder(), options)
    expect(readFileSync(join(folder, 'a.csv'), 'utf8')).toBe('content of a')
    expect(log).toHaveLength(5)
    expect(log[1]).toBe('http://127.0.0.1:1/a.csv would not do')
  })

  it('says in one line why no mirror would do, and where the files may be put', async () => {
    const { origin } = await serve(new Map([['/x/a.csv', Buffer.from('wrong')]]))
    const cache = temporaryFolder()
    const options = { ...silent, mirrors: [`${origin}/x/`, `${origin}/y/`] }
    const failed = ensureSet('two', twoFiles, cache, options)
    await expect(failed).rejects.toThrow(
      new RegExp(
        `^data\\.source: 'two' could not be downloaded: ${origin}/x/a\\.csv: not the file that is expected: .+; ${origin}/y/a\\.csv: there is no such file: status 404 — check the connection and try again, or put the files into \\$CONDENSE_DATA/two$`,
      ),
    )
    await expect(failed).rejects.toBeInstanceOf(UserError)
    expect(existsSync(join(cache, 'data', 'two'))).toBe(false)
  })

  it('appears when it is whole, and is continued where it is not', async () => {
    const files = new Map([...contentOfTwo].slice(0, 1))
    const { origin, received } = await serve(files)
    const cache = temporaryFolder()
    const options = { ...silent, mirrors: [`${origin}/x/`] }
    await expect(ensureSet('two', twoFiles, cache, options)).rejects.toThrow(/b\.csv/)
    expect(readdirSync(cache)).toEqual(['downloads'])
    files.set('/x/b.csv', contentOfTwo.get('/x/b.csv')!)
    const folder = await ensureSet('two', twoFiles, cache, options)
    expect(readdirSync(folder)).toEqual(['.downloaded.json', 'a.csv', 'b.csv'])
    expect(readdirSync(join(cache, 'downloads'))).toEqual([])
    expect(received.map(({ path }) => path)).toEqual(['/x/a.csv', '/x/b.csv', '/x/b.csv'])
  })

  it('may be asked for several times at once', async () => {
    const { origin } = await serve(contentOfTwo)
    const cache = temporaryFolder()
    const options = { ...silent, mirrors: [`${origin}/x/`] }
    const all = Array.from({ length: 5 }, () => ensureSet('two', twoFiles, cache, options))
    const folder = join(cache, 'data', 'two')
    expect(new Set(await Promise.all(all))).toEqual(new Set([folder]))
    expect(readdirSync(folder)).toEqual(['.downloaded.json', 'a.csv', 'b.csv'])
  })

  it('is continued after a cut connection', async () => {
    let isCut = true
    const { origin, received } = await startServer((request, response) => {
      const content = contentOfTwo.get(request.url ?? '')!
      sendFile(request, response, content, isCut ? { cutAt: 5 } : {})
      isCut = false
    })
    await ensureSet('two', twoFiles, temporaryFolder(), { ...silent, mirrors: [`${origin}/x/`] })
    expect(received.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=5-', undefined])
  })

  it('ends when the signal is aborted, without trying other mirrors', async () => {
    const controller = new AbortController()
    const { origin, received } = await startServer(() => controller.abort())
    const options = {
      ...silent,
      mirrors: [`${origin}/1/`, `${origin}/2/`],
      signal: controller.signal,
    }
    const stopped = ensureSet('two', twoFiles, temporaryFolder(), options)
    await expect(stopped).rejects.toBeInstanceOf(Interrupted)
    expect(received).toHaveLength(1)
  })
})

async function packedTar(files: Iterable<readonly [string, string | Buffer]>): Promise<Buffer> {
  const packer = pack()
  for (const [name, body] of files) packer.entry({ name }, body)
  packer.finalize()
  const pieces: Buffer[] = []
  for await (const piece of packer) pieces.push(piece as Buffer)
  return gzipSync(Buffer.concat(pieces), { level: 1 })
}

const archive = {
  paths: ['v1.tar.gz', 'main.tar.gz'],
  maximumBytes: 1_000_000,
  maximumContentBytes: 1_000_000,
  keep: /^[^/]+\/(wav\/\w+\.wav)$/,
  files: 2,
  contentDigest: hash(`${hash('sound 1')}  1.wav\n${hash('sound 2')}  2.wav\n`),
}
const sounds: DownloadSet = {
  folder: 'sounds',
  megabytes: 1,
  mirrors: ['http://127.0.0.1:1/'],
  content: { archive },
}
const soundFiles = [
  ['repo-1/README.md', 'read me'],
  ['repo-1/wav/2.wav', 'sound 2'],
  ['repo-1/wav/1.wav', 'sound 1'],
] as const

describe('a set in an archive', () => {
  it('is unpacked, checked, and kept without the archive', async () => {
    const { origin, received } = await serve(new Map([['/v1.tar.gz', await packedTar(soundFiles)]]))
    const cache = temporaryFolder()
    const options = { ...silent, mirrors: [`${origin}/`] }
    const folder = await ensureSet('sounds', sounds, cache, options)
    expect(readdirSync(join(folder, 'wav'))).toEqual(['1.wav', '2.wav'])
    expect(readdirSync(folder)).toEqual(['.downloaded.json', 'wav'])
    expect(readdirSync(join(cache, 'downloads'))).toEqual([])
    await ensureSet('sounds', sounds, cache, options)
    expect(received).toHaveLength(1)
  })

  it.each([
    [
      'other content',
      [...soundFiles.slice(0, 2), ['repo-1/wav/1.wav', 'noise']],
      /have the SHA-256/,
    ],
    ['a file less', soundFiles.slice(0, 2), /1 of its files are of the data set, not 2/],
    ['a file more', [...soundFiles, ['repo-1/wav/3.wav', 'x']], /3 of its files/],
    [
      'a name that leads out',
      [...soundFiles, ['../evil', 'x']],
      /a file may not be called '\.\.\/evil'/,
    ],
  ] as [string, [string, string][], RegExp][])(
    'with %s is refused, and another is tried',
    async (_what, files, message) => {
      const wrong = new Map([['/v1.tar.gz', await packedTar(files)]])
      const cache = temporaryFolder()
      const { origin } = await serve(wrong)
      const options = { ...silent, mirrors: [`${origin}/`] }
      await expect(ensureSet('sounds', sounds, cache, options)).rejects.toThrow(message)
      expect(existsSync(join(cache, 'data', 'sounds'))).toBe(false)
      expect(existsSync(join(cache, 'evil'))).toBe(false)
      const both = await serve(new Map([...wrong, ['/main.tar.gz', await packedTar(soundFiles)]]))
      await ensureSet('sounds', sounds, cache, { ...silent, mirrors: [`${both.origin}/`] })
    },
  )

  it('with a wrong digest of the archive is refused before it is unpacked', async () => {
    const { origin } = await serve(new Map([['/v1.tar.gz', await packedTar(soundFiles)]]))
    const digest = { algorithm: 'md5' as const, value: '0'.repeat(32) }
    const set = { ...sounds, content: { archive: { ...archive, digest } } }
    await expect(
      ensureSet('sounds', set, temporaryFolder(), { ...silent, mirrors: [`${origin}/`] }),
    ).rejects.toThrow(/not the file that is expected: md5/)
  })

  it('that unpacks to too much is refused', async () => {
    const files = [...soundFiles, ['repo-1/zeros', Buffer.alloc(2_000_000)]] as const
    const { origin } = await serve(new Map([['/v1.tar.gz', await packedTar(files)]]))
    await expect(
      ensureSet('sounds', sounds, temporaryFolder(), { ...silent, mirrors: [`${origin}/`] }),
    ).rejects.toThrow(/unpacks to more than 1000000 bytes/)
  })

  it('may be asked for several times at once', async () => {
    const { origin } = await serve(new Map([['/v1.tar.gz', await packedTar(soundFiles)]]))
    const cache = temporaryFolder()
    const options = { ...silent, mirrors: [`${origin}/`] }
    const all = Array.from({ length: 4 }, () => ensureSet('sounds', sounds, cache, options))
    expect(new Set(await Promise.all(all)).size).toBe(1)
  })
})

describe('the real data', () => {
  itWithShared('of banking77 has the pinned digests', () => expectPinned('banking77'))

  it('of cifar is not downloaded in other bytes than those published', async () => {
    const { origin } = await serve(
      new Map([['/cifar-10-binary.tar.gz', await packedTar([['cifar-10-batches-bin/x', 'x']])]]),
    )
    await expect(
      ensureDownloaded('cifar10', temporaryFolder(), { ...silent, mirrors: [`${origin}/`] }),
    ).rejects.toThrow(
      /not the file that is expected: md5 \w+ instead of c32a1d4ab5d03f1284b67883e8d87530/,
    )
  })
})
