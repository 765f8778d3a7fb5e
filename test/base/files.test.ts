// Folders and files are written whole or not at all, and what stands in the way is told in one line.
import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { makeFolder, makeWritable, writeAtomically } from '../../base/files.ts'

const root = mkdtempSync(join(tmpdir(), 'condense-files-'))
let folder = root
beforeEach(() => {
  folder = mkdtempSync(join(root, 'case-'))
})

describe('makeFolder', () => {
  it('makes a folder with its parents, and leaves one that is there alone', () => {
    const path = join(folder, 'a/b/c')
    makeFolder(path)
    writeFileSync(join(path, 'kept'), '')
    makeFolder(path)
    expect(readdirSync(path)).toEqual(['kept'])
  })

  it('goes through a link to a folder', () => {
    mkdirSync(join(folder, 'real'))
    symlinkSync('real', join(folder, 'link'))
    makeFolder(join(folder, 'link/inside'))
    expect(readdirSync(join(folder, 'real'))).toEqual(['inside'])
  })

  it.each([
    ['file', /file: a file of that name is in the way — choose another path$/],
    ['file/inside', /inside: a part of the path is a file, not a folder — choose another path$/],
    ['circle/inside', /inside: the path has symbolic links that lead in a circle — choose another/],
    [`${'x'.repeat(300)}/y`, /y: the path is too long — choose a shorter one$/],
  ])('says why it cannot make %s', (path, message) => {
    writeFileSync(join(folder, 'file'), '')
    symlinkSync('circle', join(folder, 'circle'))
    expect(() => makeFolder(join(folder, path))).toThrow(message)
    expect(() => makeFolder(join(folder, path))).toThrow(UserError)
  })
})

const readOnly = join(root, 'read-only')
mkdirSync(readOnly)
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', readOnly]).status === 0
afterAll(() => {
  if (mounted) spawnSync('umount', [readOnly])
  rmSync(root, { recursive: true, force: true })
})
const itMounted = mounted ? it : it.skip

itMounted.each(['', 'a', 'a/b/c'])(
  `names a read-only file system as such, for '%s'${mounted ? '' : ' (skipped: mounting needs root)'}`,
  (path) => {
    expect(() => makeWritable(join(readOnly, path))).toThrow(
      /: the file system is read-only — choose another folder$/,
    )
  },
)

describe('writeAtomically', () => {
  it('replaces a file by text, bytes or pieces', () => {
    const path = join(folder, 'file')
    writeAtomically(path, 'text')
    expect(readFileSync(path, 'utf8')).toBe('text')
    writeAtomically(path, Uint8Array.of(1, 2))
    expect([...readFileSync(path)]).toEqual([1, 2])
    writeAtomically(path, [Uint8Array.of(3), Uint8Array.of(4, 5)])
    expect([...readFileSync(path)]).toEqual([3, 4, 5])
  })

  it('leaves the old file, and nothing else, where the content cannot be made', () => {
    const path = join(folder, 'file')
    writeAtomically(path, 'old')
    const pieces = function* () {
      yield Uint8Array.of(1)
      throw new Error('no more')
    }
    expect(() => writeAtomically(path, pieces())).toThrow('no more')
    expect(readdirSync(folder)).toEqual(['file'])
    expect(readFileSync(path, 'utf8')).toBe('old')
  })

  it('says that the folder is not there', () => {
    expect(() => writeAtomically(join(folder, 'none/file'), '')).toThrow(
      /none\/file: no such file or folder — check the path$/,
    )
  })
})
