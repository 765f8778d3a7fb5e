// Whole runs as users start them, on data that tests write in the formats that people have.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect } from '@jest/globals'
import { checkReport } from '../../benchmarks/report/report.ts'
import { type RecipeInput, type Report, run, UserError } from '../../index.ts'
import type { RunOptions } from '../../pipeline/prepare.ts'
import { temporaryFolder } from './tiny.ts'

/** A benchmark that takes a moment. */
export const quickly = {
  latency: { batches: [1], threads: [1], rounds: 1, runs: 3, seconds: 0.02 },
  knowledge: false,
} satisfies RecipeInput['benchmark']

/** What a run left. */
export interface Whole {
  readonly report: Report
  readonly outFolder: string
  readonly logs: readonly string[]
}

const cacheFolder = temporaryFolder()

/** Runs a recipe into a new folder and checks what every report must be. */
export async function wholeRun(
  recipe: Omit<RecipeInput, 'name'>,
  options: RunOptions = {},
): Promise<Whole> {
  const outFolder = join(temporaryFolder(), 'out')
  const logs: string[] = []
  const named: RecipeInput = { benchmark: quickly, ...recipe, name: 'whole' }
  const report = await run(named, {
    ...{ cacheFolder, outFolder, threads: 1 },
    onEvent: (event) => void (event.event === 'log' && logs.push(event.message)),
    ...options,
  })
  const written: unknown = JSON.parse(readFileSync(join(outFolder, 'report.json'), 'utf8'))
  expect(checkReport(written)).toEqual(JSON.parse(JSON.stringify(report)))
  for (const { id, providers } of [report.teacher, ...report.variants])
    expect([id, providers.cpu?.available, providers.cpu?.reason]).toEqual([id, true, undefined])
  for (const name of ['report.md', 'report.html'])
    expect(readFileSync(join(outFolder, name), 'utf8')).not.toMatch(/undefined|NaN|\[object/)
  return { report, outFolder, logs }
}

/** The message of a run that must be refused with one line. */
export async function refusal(recipe: Omit<RecipeInput, 'name'>): Promise<string> {
  const error: unknown = await run(
    { benchmark: quickly, ...recipe, name: 'refused' },
    { cacheFolder, outFolder: join(temporaryFolder(), 'out'), threads: 1 },
  ).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(UserError)
  const { message } = error as UserError
  expect(message).not.toContain('\n')
  expect(message).toMatch(/: .* — /)
  return message
}

/** Writes files by their path in a new folder, and gives the folder. */
export function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = temporaryFolder()
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  return folder
}

/** Rows as comma-separated values below their header. */
export const csvOf = (header: readonly string[], rows: readonly (readonly unknown[])[]): string =>
  [header, ...rows].map((row) => `${row.join(',')}\n`).join('')

/** Objects as JSON lines. */
export const jsonlOf = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('')

/** An array of floats in NumPy's format. */
export function npyOf(shape: readonly number[], values: ArrayLike<number>): Buffer {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`
  const padded = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`
  const head = Buffer.from('\x93NUMPY\x01\x00', 'latin1')
  const length = Buffer.alloc(2)
  length.writeUInt16LE(padded.length)
  return Buffer.concat([
    ...[head, length, Buffer.from(padded)],
    Buffer.from(Float32Array.from(values).buffer),
  ])
}

/** Arrays in NumPy's archive, stored as they are. */
export function npzOf(arrays: Readonly<Record<string, Buffer>>): Buffer {
  const bodies: Buffer[] = []
  const entries: Buffer[] = []
  let offset = 0
  for (const [name, content] of Object.entries(arrays)) {
    const file = Buffer.from(`${name}.npy`)
    const facts = Buffer.alloc(26)
    facts.writeUInt16LE(20, 0)
    facts.writeUInt32LE(crc32(content), 10)
    facts.writeUInt32LE(content.length, 14)
    facts.writeUInt32LE(content.length, 18)
    facts.writeUInt16LE(file.length, 22)
    const body = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), facts, file, content])
    const place = Buffer.alloc(14)
    place.writeUInt32LE(offset, 10)
    entries.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), facts, place, file]))
    bodies.push(body)
    offset += body.length
  }
  const directory = Buffer.concat(entries)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...bodies, directory, end])
}

/** Arrays of floats as safetensors. */
export function safetensorsOf(
  arrays: Readonly<Record<string, { shape: readonly number[]; values: ArrayLike<number> }>>,
): Buffer {
  let end = 0
  const entries = Object.entries(arrays).map(([name, { shape, values }]) => {
    const begin = end
    end += values.length * 4
    return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }]
  })
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const contents = Object.values(arrays).map(({ values }) =>
    Buffer.from(Float32Array.from(values).buffer),
  )
  return Buffer.concat([length, header, ...contents])
}

/** A table with the columns a, b and label, of two classes; gives its path. */
export function tableOf(rows = 60): string {
  const cells = Array.from({ length: rows }, (_, index) => {
    const [a, b] = [(index * 37) % 41, (index * 53) % 43]
    return [a / 20, b / 20, a > 20 ? 'high' : 'low']
  })
  return join(folderOf({ 'table.csv': csvOf(['a', 'b', 'label'], cells) }), 'table.csv')
}
