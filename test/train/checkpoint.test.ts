import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { loadCheckpoint, saveCheckpoint } from '../../train/checkpoint.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'condense-checkpoint-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const path = () => join(folder, 'checkpoint')
const state = {
  facts: { records: [{ epoch: 1, loss: 0.1 + 0.2 }], bestEpoch: 1 },
  vectors: {
    weights: Float32Array.of(1, -0, Number.NaN, 1e-45, 3.5),
    'best weights': new Float32Array(0),
  },
}

describe('a checkpoint', () => {
  it('comes back bit by bit', () => {
    saveCheckpoint(path(), state)
    expect(loadCheckpoint(path())).toEqual(state)
  })

  it('replaces an older one and leaves no other file', () => {
    saveCheckpoint(path(), { facts: {}, vectors: { weights: new Float32Array(1000) } })
    saveCheckpoint(path(), state)
    expect(loadCheckpoint(path())).toEqual(state)
    expect(readdirSync(folder)).toEqual(['checkpoint'])
  })

  it('holds the part of a vector that was given, not the memory around it', () => {
    const part = Float32Array.of(1, 2, 3, 4, 5).subarray(1, 4)
    saveCheckpoint(path(), { facts: {}, vectors: { part } })
    expect(loadCheckpoint(path())?.vectors.part).toEqual(Float32Array.of(2, 3, 4))
  })

  it('is none where there is no file', () => {
    expect(loadCheckpoint(path())).toBeUndefined()
  })

  it.each([
    ['empty', () => Buffer.alloc(0)],
    ['garbage', () => Buffer.from('not a checkpoint\nat all\n')],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['cut off in the header', (bytes: Buffer) => bytes.subarray(0, 80)],
    ['changed in a vector', (bytes: Buffer) => flipped(bytes, bytes.length - 2)],
    ['changed in the header', (bytes: Buffer) => flipped(bytes, 100)],
    ['changed in a hash', (bytes: Buffer) => flipped(bytes, 3)],
  ])('is none where the file is %s', (_, damage: (bytes: Buffer) => Buffer) => {
    saveCheckpoint(path(), state)
    writeFileSync(path(), damage(readFileSync(path())))
    expect(loadCheckpoint(path())).toBeUndefined()
  })
})

function flipped(bytes: Buffer, index: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[index]! ^= 1
  return copy
}
