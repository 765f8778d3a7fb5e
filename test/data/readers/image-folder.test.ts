import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { imageFolder } from '../../../data/readers/image-folder.ts'
import type { FileCell, Part } from '../../../data/table.ts'
import { temporaryFolder } from '../../support/folder.ts'

/** A folder with empty files: the reader opens none of them. */
function folderOf(...files: readonly string[]): string {
  const folder = temporaryFolder()
  for (const file of files) {
    const path = join(folder, file)
    if (file.endsWith('/')) {
      mkdirSync(path, { recursive: true })
      continue
    }
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, '')
  }
  return folder
}

async function open(path: string, given: object = {}, testPath?: string) {
  const lines: string[] = []
  const options = imageFolder.options.parse(given)
  const table = await imageFolder.open({ path, testPath }, options, {
    log: (line) => lines.push(line.replaceAll(path, '.')),
  })
  return { table, lines }
}

async function rowsOf(folder: string, part: Part) {
  const rows: string[] = []
  for await (const [file, label] of part.rows())
    rows.push(`${relative(folder, (file as FileCell).path)} ${String(label)}`)
  return rows
}

describe('a folder of images', () => {
  it('gives files and labels of each part in one order, nested ones too', async () => {
    const folder = folderOf(
      ...['train/dog/b.JPG', 'train/dog/a.png', 'train/cat/deep/er/z.webp', 'train/cat/c.jpeg'],
      ...['train/cat/.hidden.png', 'test/dog/1.png', 'val/cat/2.png', '.git/x/y.png'],
    )
    const { table } = await open(folder)
    expect(table.columns).toEqual([
      { name: 'image', type: 'file' },
      { name: 'label', type: 'text' },
    ])
    expect([table.label, table.classes]).toEqual(['label', ['cat', 'dog']])
    const rows = [
      'train/cat/c.jpeg cat',
      'train/cat/deep/er/z.webp cat',
      'train/dog/a.png dog',
      'train/dog/b.JPG dog',
    ]
    expect(await rowsOf(folder, table.train)).toEqual(rows)
    expect(await rowsOf(folder, table.train)).toEqual(rows)
    expect(table.train.size).toBe(4)
    expect(await rowsOf(folder, table.test!)).toEqual(['test/dog/1.png dog'])
    expect(await rowsOf(folder, table.validation!)).toEqual(['val/cat/2.png cat'])
  })

  it('takes folders of classes alone as the training part, with another folder as the test part', async () => {
    const folder = folderOf('a/1.png', 'b/2.png')
    const test = folderOf('b/3.png')
    const { table } = await open(folder, {}, test)
    expect(await rowsOf(folder, table.train)).toEqual(['a/1.png a', 'b/2.png b'])
    expect(await rowsOf(test, table.test!)).toEqual(['b/3.png b'])
    expect(table.validation).toBeUndefined()
  })

  it('says what it leaves out and what is missing', async () => {
    const folder = folderOf(
      ...['train/a/1.png', 'train/a/notes.txt', 'train/b/', 'train/a/2.bmp', 'train/b/3.bmp'],
      ...['train/stray.png', 'test/a/1.png', 'test/a/README'],
    )
    const { table, lines } = await open(folder)
    expect(table.classes).toEqual(['a', 'b'])
    expect(lines).toEqual([
      './train: ignored: 1 images outside the folders of classes',
      './train: folders without images: ./train/b',
      './train: ignored: 3 files that are no images (.bmp 2, .txt 1)',
      './test: no folder for classes of the training part: b',
      './test: ignored: 1 files that are no images (no ending 1)',
    ])
  })

  it('takes images without labels where told to', async () => {
    const folder = folderOf('1.png', 'deep/2.png')
    const { table } = await open(folder, { labels: 'none' })
    expect(table.columns).toEqual([{ name: 'image', type: 'file' }])
    expect([table.label, table.classes]).toEqual([undefined, undefined])
    expect(await rowsOf(folder, table.train)).toEqual(['1.png undefined', 'deep/2.png undefined'])
  })

  it.each<[string, readonly string[], RegExp]>([
    ['an empty folder', [], /holds no images: the folder is empty — put a folder a class there/],
    ['folders without images', ['a/', 'b/x.txt'], /holds no images: 1 files that are no images/],
    [
      'images without classes',
      ['1.png'],
      /images without folders of classes: 1 files — put them into a folder a class/,
    ],
    ['a test part alone', ['test/a/1.png'], /has no training part: folders .*test — add a folder/],
    [
      'a class of the test part alone',
      ['train/a/1.png', 'test/b/1.png'],
      /no class of the training part: 'b'/,
    ],
    ['two folders for one part', ['train/a/1.png', 'training/a/1.png'], /two folders for one part/],
    ['an empty test part', ['train/a/1.png', 'test/a/'], /test: holds no images: no files/],
  ])('refuses %s', async (_, files, message) => {
    const opening = open(folderOf(...files))
    await expect(opening).rejects.toThrow(UserError)
    await expect(opening).rejects.toThrow(message)
  })

  it('refuses what is not there', async () => {
    await expect(open(join(temporaryFolder(), 'none'))).rejects.toThrow(/no such file or folder/)
  })

  it('follows symbolic links inside the folder and refuses those that lead out or in a circle', async () => {
    const folder = folderOf('a/1.png', 'a/deep/2.png')
    symlinkSync('1.png', join(folder, 'a/link.png'))
    const { table } = await open(folder)
    expect(await rowsOf(folder, table.train)).toEqual([
      'a/1.png a',
      'a/link.png a',
      'a/deep/2.png a',
    ])
    symlinkSync('..', join(folder, 'a/deep/up'))
    await expect(open(folder)).rejects.toThrow(/a\/deep\/up: symbolic links lead in a circle/)
    const other = folderOf('a/1.png')
    symlinkSync(folder, join(other, 'b'))
    await expect(open(other)).rejects.toThrow(/b: a symbolic link leads out of/)
  })

  it('counts many files in little memory', async () => {
    const folder = folderOf(...Array.from({ length: 3000 }, (_, at) => `c${at % 3}/${at}.png`))
    const { table } = await open(folder)
    expect(table.train.size).toBe(3000)
    expect((await rowsOf(folder, table.train))[0]).toBe('c0/0.png c0')
  })
})
