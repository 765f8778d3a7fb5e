import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateRawSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { type Header, pack } from 'tar-stream'
import { Interrupted, UserError } from '../../base/errors.ts'
import { extract, isArchive } from '../../data/archives.ts'
import { extracted, soleEntry } from '../../data/extracted.ts'
import { temporaryFolder } from '../support/folder.ts'

async function tar(
  entries: readonly (Partial<Header> & { name: string; body?: string | Buffer })[],
): Promise<Buffer> {
  const packer = pack()
  for (const { body, ...header } of entries) packer.entry(header, body ?? '')
  packer.finalize()
  const pieces: Buffer[] = []
  for await (const piece of packer) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

interface ZipFile {
  readonly name: string
  readonly body?: string | Buffer
  /** The file's type and rights as Unix writes them. */
  readonly mode?: number
  readonly flags?: number
  readonly checksum?: number
  /** What the directory claims. */
  readonly size?: number
}

/** Written by hand, so that it can be wrong in every way. */
function zip(files: readonly ZipFile[]): Buffer {
  const bodies: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, body = '', mode = 0o100644, flags = 0x800, checksum, size } of files) {
    const plain = Buffer.from(body)
    const packed = deflateRawSync(plain)
    const rest = Buffer.alloc(26)
    rest.writeUInt16LE(20, 0)
    rest.writeUInt16LE(flags, 2)
    rest.writeUInt16LE(8, 4)
    rest.writeUInt32LE(checksum ?? crc32(plain), 10)
    rest.writeUInt32LE(packed.length, 14)
    rest.writeUInt32LE(size ?? plain.length, 18)
    rest.writeUInt16LE(Buffer.byteLength(name), 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), rest, Buffer.from(name), packed])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE((mode << 16) >>> 0, 6)
    tail.writeUInt32LE(offset, 10)
    const start = Buffer.from([0x50, 0x4b, 1, 2, 20, 3])
    directory.push(Buffer.concat([start, rest, tail, Buffer.from(name)]))
    bodies.push(local)
    offset += local.length
  }
  const all = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(files.length, 8)
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(all.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...bodies, all, end])
}

function stored(name: string, bytes: Uint8Array): string {
  const path = join(temporaryFolder(), name)
  writeFileSync(path, bytes)
  return path
}

const good = [
  { name: './', type: 'directory' },
  { name: 'top.txt', body: 'top' },
  { name: 'a/', type: 'directory' },
  { name: './a/ü.txt', body: 'inside' },
  { name: 'a/b/c/empty', body: '' },
  { name: `a/${'long'.repeat(40)}`, body: 'long name' },
] as const

const goodZip = good.filter(({ name }) => name !== './')

describe('an archive', () => {
  it.each([
    ['x.tar', async () => tar([...good])],
    ['x.tar.gz', async () => gzipSync(await tar([...good]))],
    ['x.tgz', async () => gzipSync(await tar([...good]))],
    ['x.zip', async () => zip(goodZip)],
    ['zip of another name', async () => zip(goodZip)],
  ])('%s gives its files', async (name, make) => {
    const folder = join(temporaryFolder(), 'out')
    const written = await extract(stored(name, await make()), folder)
    expect(written).toEqual({ files: 4, bytes: 3 + 6 + 9 })
    expect(readFileSync(join(folder, 'a', 'ü.txt'), 'utf8')).toBe('inside')
    expect(readFileSync(join(folder, 'a/b/c/empty'))).toHaveLength(0)
    expect(readFileSync(join(folder, 'a', 'long'.repeat(40)), 'utf8')).toBe('long name')
    expect(readdirSync(join(folder, '..'))).toEqual(['out'])
  })

  it.each([
    ['a.tar', true],
    ['a.TGZ', true],
    ['a.tar.gz', true],
    ['a.zip', true],
    ['a.csv.gz', false],
    ['tar', false],
  ])('is known by its name: %s', (name, expected) => {
    expect(isArchive(name)).toBe(expected)
  })

  it('with large files is read in pieces', async () => {
    const body = Buffer.alloc(3_000_000, 'abc')
    const folder = temporaryFolder()
    await extract(stored('x.tgz', gzipSync(await tar([{ name: 'x', body }]))), join(folder, 'tar'))
    await extract(stored('x.zip', zip([{ name: 'x', body }])), join(folder, 'zip'))
    expect(readFileSync(join(folder, 'tar', 'x')).equals(body)).toBe(true)
    expect(readFileSync(join(folder, 'zip', 'x')).equals(body)).toBe(true)
  })
})

async function refused(name: string, bytes: Uint8Array, message: RegExp, options = {}) {
  const home = temporaryFolder()
  const path = stored(name, bytes)
  const failed = extract(path, join(home, 'deep', 'out'), options)
  await expect(failed).rejects.toThrow(message)
  await expect(failed).rejects.toBeInstanceOf(UserError)
  await expect(failed).rejects.toThrow(/^[^\n]+\/[^\n]+: [^\n]+ — [^\n]+$/)
  expect(readdirSync(join(home, 'deep'))).toEqual([])
  expect(readdirSync(home)).toEqual(['deep'])
}

describe('a malicious archive', () => {
  it.each([
    '../evil',
    'a/../../evil',
    '..',
    '/etc/evil',
    'C:/evil',
    'C:evil',
    '..\\evil',
    'a\\..\\..\\evil',
    `${'a/'.repeat(70)}b`,
  ])('with the name %j is refused', async (name) => {
    const message = /a file may not be called '/
    await refused(
      'x.tar',
      await tar([
        { name: 'ok', body: 'x' },
        { name, body: 'x' },
      ]),
      message,
    )
    await refused('x.tgz', gzipSync(await tar([{ name, body: 'x' }])), message)
    await refused('x.zip', zip([{ name: 'ok' }, { name, body: 'x' }]), /not (safe|called)/)
  })

  it('with a NUL in a name is refused', async () => {
    await refused('x.zip', zip([{ name: 'a\0b', body: 'x' }]), /may not be called 'a b'/)
    const bytes = await tar([{ name: 'a', body: 'x', pax: { path: 'a\0/../b' } }])
    await refused('x.tar', bytes, /may not be called/)
  })

  it.each(['symlink', 'link', 'character-device', 'block-device', 'fifo'] as const)(
    'with a %s is refused',
    async (type) => {
      const bytes = await tar([{ name: 'x', type, linkname: '/etc/passwd' }])
      await refused('x.tar', bytes, new RegExp(`'x' is a ${type}`))
    },
  )

  it.each([
    [0o120777, 'symlink'],
    [0o060644, 'block-device'],
    [0o010644, 'fifo'],
  ])('with the zip type %o is refused', async (mode, kind) => {
    const bytes = zip([{ name: 'x', body: '/etc/passwd', mode }])
    await refused('x.zip', bytes, new RegExp(`'x' is a ${kind}`))
  })

  it('that writes through a link of its own is refused at the link', async () => {
    const bytes = await tar([
      { name: 'out', type: 'symlink', linkname: '/tmp' },
      { name: 'out/evil', body: 'x' },
    ])
    await refused('x.tar', bytes, /'out' is a symlink/)
  })

  it('with a name twice is refused', async () => {
    const twice = [
      { name: 'a', body: '1' },
      { name: './a', body: '2' },
    ]
    await refused('x.tar', await tar(twice), /'\.\/a' is there twice/)
    await refused('x.zip', zip(twice), /is there twice/)
    const inside = [
      { name: 'a', body: '1' },
      { name: 'a/b', body: '2' },
    ]
    await refused('x.tar', await tar(inside), /'a\/b' is there twice/)
    await refused('x.zip', zip([{ name: 'a/b' }, { name: 'a' }]), /'a' is there twice/)
  })

  it('with a name that no file can have is refused', async () => {
    await refused('x.zip', zip([{ name: 'n'.repeat(300) }]), /is too long/)
  })

  it('with an encrypted file is refused', async () => {
    await refused('x.zip', zip([{ name: 'x', body: 'x', flags: 0x801 }]), /'x' is a encrypted file/)
  })

  it('that unpacks to far more than it is is refused', async () => {
    const body = Buffer.alloc(80_000_000)
    const message = /it unpacks to more than 67108864 bytes from \d+/
    await refused('x.tgz', gzipSync(await tar([{ name: 'x', body }])), message)
    await refused('x.zip', zip([{ name: 'x', body }]), message)
  })

  it('that hides its size is refused', async () => {
    const body = Buffer.alloc(1_000_000)
    await refused('x.zip', zip([{ name: 'x', body, size: 10 }]), /too many bytes/)
  })

  it('with more bytes or files than the limits is refused', async () => {
    const files = [
      { name: 'a', body: '12345' },
      { name: 'b', body: '12345' },
      { name: 'c', body: '12345' },
    ]
    for (const [name, bytes] of [
      ['x.tar', await tar(files)],
      ['x.zip', zip(files)],
    ] as const) {
      await refused(name, bytes, /more than 14 bytes/, { maximumBytes: 14 })
      await refused(name, bytes, /more than 2 files and folders/, { maximumFiles: 2 })
      await extract(stored(name, bytes), join(temporaryFolder(), 'out'), {
        maximumBytes: 15,
        maximumFiles: 3,
      })
    }
  })
})

describe('a damaged archive', () => {
  it('is refused wherever it is cut', async () => {
    const packed = gzipSync(await tar([...good]))
    const plain = await tar([{ name: 'a', body: Buffer.alloc(5000, 'x') }])
    const zipped = zip(goodZip)
    for (let share = 0; share < 1; share += 0.09) {
      const cut = (bytes: Buffer) => bytes.subarray(0, Math.floor(bytes.length * share))
      await refused('x.tgz', cut(packed), /damaged|not a tar/)
      if (share * plain.length < 5000) await refused('x.tar', cut(plain), /damaged|not a tar/)
      await refused('x.zip', cut(zipped), /damaged|not a tar/)
    }
  })

  it.each([
    ['an empty file', Buffer.alloc(0)],
    ['text', Buffer.from('hello'.repeat(300))],
    ['a gzip that holds no tar', gzipSync('hello'.repeat(300))],
    ['a zip with a wrong checksum', zip([{ name: 'a', body: 'x', checksum: 1 }])],
  ])('is %s', async (_what, bytes) => {
    await refused('x.tar', bytes, /damaged|not a tar/)
  })

  it('is one that does not exist', async () => {
    const failed = extract('/nowhere/x.tar', join(temporaryFolder(), 'out'))
    await expect(failed).rejects.toThrow(/^\/nowhere\/x\.tar: no such file or folder/)
  })
})

describe('an extraction', () => {
  it('ends when the signal is aborted and leaves nothing', async () => {
    const home = temporaryFolder()
    const bytes = gzipSync(await tar([{ name: 'x', body: Buffer.alloc(5_000_000) }]))
    const control = new AbortController()
    const stopped = extract(stored('x.tgz', bytes), join(home, 'out'), { signal: control.signal })
    setTimeout(() => control.abort(), 2)
    await expect(stopped).rejects.toBeInstanceOf(Interrupted)
    expect(readdirSync(home)).toEqual([])
  })

  it('removes what a killed process left', async () => {
    const home = temporaryFolder()
    const host = hostname()
      .replace(/[^\w.]/g, '_')
      .slice(0, 60)
    mkdirSync(join(home, `out.tmp-${host}-4194999-0123456789ab`, 'a'), { recursive: true })
    await extract(stored('x.tar', await tar([{ name: 'a', body: 'x' }])), join(home, 'out'))
    expect(readdirSync(home)).toEqual(['out'])
  })

  it('does not touch a folder that is there', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'mine'), '')
    const path = stored('x.tar', await tar([{ name: 'a', body: 'x' }]))
    await expect(extract(path, folder)).rejects.toThrow()
    expect(readdirSync(folder)).toEqual(['mine'])
  })
})

describe('an extracted archive', () => {
  const make = async () => stored('my data.tar.gz', gzipSync(await tar([...good])))

  it('is found again in the cache, and is another where the archive is', async () => {
    const cache = temporaryFolder()
    const path = await make()
    const folder = await extracted(path, cache)
    expect(folder).toMatch(/\/extracted\/my_data-[0-9a-f]{16}\/content$/)
    writeFileSync(join(folder, 'top.txt'), 'TOP')
    expect(await extracted(path, cache)).toBe(folder)
    expect(readFileSync(join(folder, 'top.txt'), 'utf8')).toBe('TOP')
    writeFileSync(path, gzipSync(await tar([{ name: 'other', body: 'x' }])))
    expect(await extracted(path, cache)).not.toBe(folder)
    expect(readdirSync(join(cache, 'extracted'))).toHaveLength(2)
  })

  it.each([
    ['a file is gone', (folder: string) => rmSync(join(folder, 'top.txt'))],
    ['a file is cut', (folder: string) => truncateSync(join(folder, 'top.txt'), 1)],
    ['its facts are gone', (folder: string) => rmSync(join(folder, '..', 'facts.json'))],
  ])('is made anew where %s', async (_what, damage) => {
    const cache = temporaryFolder()
    const path = await make()
    const folder = await extracted(path, cache)
    damage(folder)
    expect(await extracted(path, cache)).toBe(folder)
    expect(readFileSync(join(folder, 'top.txt'), 'utf8')).toBe('top')
    expect(readdirSync(join(cache, 'extracted'))).toHaveLength(1)
  })

  it('may be asked for several times at once', async () => {
    const cache = temporaryFolder()
    const path = await make()
    const folders = await Promise.all(Array.from({ length: 4 }, () => extracted(path, cache)))
    expect(new Set(folders).size).toBe(1)
    expect(existsSync(join(folders[0]!, 'top.txt'))).toBe(true)
    expect(readdirSync(join(cache, 'extracted'))).toHaveLength(1)
  })

  it('leaves nothing in the cache where it is refused', async () => {
    const cache = temporaryFolder()
    const path = stored('x.tar', await tar([{ name: '../x', body: 'x' }]))
    await expect(extracted(path, cache)).rejects.toThrow(UserError)
    expect(readdirSync(join(cache, 'extracted'))).toEqual([])
  })
})

describe('the sole entry', () => {
  it('is the file or folder that all others are in', async () => {
    const folder = temporaryFolder()
    expect(await soleEntry(folder)).toBe(folder)
    mkdirSync(join(folder, 'a', 'b'), { recursive: true })
    writeFileSync(join(folder, 'a', 'b', 'x.csv'), '')
    expect(await soleEntry(folder)).toBe(join(folder, 'a', 'b', 'x.csv'))
    symlinkSync('/etc', join(folder, 'a', 'link'))
    expect(await soleEntry(folder)).toBe(join(folder, 'a'))
  })
})
