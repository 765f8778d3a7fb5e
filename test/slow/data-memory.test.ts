// A data set larger than memory can be read: rows are streamed, so the process hardly grows while they pass.
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, statSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { temporaryFolder } from '../support/folder.ts'

const largestGrowthBytes = 60e6

/** Writes pieces to a file until it has 100 MB, without holding them, and gives how many there were. */
function fill(path: string, head: string | Uint8Array, piece: string | Uint8Array, pieces: number) {
  const file = openSync(path, 'w')
  writeSync(file, Buffer.from(head))
  const block = Buffer.concat(new Array(1000).fill(Buffer.from(piece)))
  for (let written = 0; written < pieces; written += 1000) writeSync(file, block)
  closeSync(file)
  expect(statSync(path).size).toBeGreaterThan(100e6)
}

function stream(format: string, path: string, options: object) {
  const script = resolve('test/slow/stream-rows.js')
  // A small young generation: how much garbage the engine lets lie there is not the question.
  const node = [process.execPath, '--max-semi-space-size=2', script] as const
  const printed = execFileSync(node[0], [...node.slice(1), format, path, JSON.stringify(options)])
  return JSON.parse(String(printed)) as { rows: number; grownBytes: number }
}

describe('memory while 100 MB of rows pass', () => {
  it('stays flat for csv', () => {
    const path = join(temporaryFolder(), 'large.csv')
    const line = `${Array.from({ length: 19 }, (_, index) => (index * 0.37).toFixed(2))},"a, ""b"""\n`
    const rows = Math.ceil(100e6 / line.length / 1000) * 1000
    fill(path, '', line, rows)
    const found = stream('csv', path, { header: false })
    expect(found.rows).toBe(rows)
    expect(found.grownBytes).toBeLessThan(largestGrowthBytes)
  })

  it('stays flat for JSON lines', () => {
    const path = join(temporaryFolder(), 'large.jsonl')
    const line = `${JSON.stringify({ n: 1.5, text: 'some text', list: [1, 2, 3, 4] })}\n`
    const rows = Math.ceil(100e6 / line.length / 1000) * 1000
    fill(path, '', line, rows)
    const found = stream('jsonl', path, {})
    expect(found.rows).toBe(rows)
    expect(found.grownBytes).toBeLessThan(largestGrowthBytes)
  })

  it.each(['False', 'True'])('stays flat for npy, Fortran order %s', (fortran) => {
    const path = join(temporaryFolder(), 'large.npy')
    const rows = 130_000
    const header = `{'descr': '|u1', 'fortran_order': ${fortran}, 'shape': (${rows}, 784)}\n`
    const start = Buffer.concat([Buffer.from('\x93NUMPY\x01\x00..', 'latin1'), Buffer.from(header)])
    start.writeUInt16LE(header.length, 8)
    fill(path, start, new Uint8Array(784), rows)
    const found = stream('npy', path, {})
    expect(found.rows).toBe(rows)
    expect(found.grownBytes).toBeLessThan(largestGrowthBytes)
  })
})
