import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { UserError } from '../../base/errors.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { decodeModel, type StringStringEntryProto, type TensorProto } from '../../onnx/proto.ts'
import { saveModel, serializeModel } from '../../onnx/save.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { temporaryFolder } from '../support/folder.ts'
import { modelBytes, node, vector } from './bytes.ts'

let folder: string
beforeEach(() => {
  folder = join(temporaryFolder(), 'models')
  mkdirSync(folder)
})

const weights = Float32Array.from({ length: 512 }, (_, index) => index / 7)
const weightBytes = new Uint8Array(weights.buffer)

const external = (fields: Record<string, string>): Partial<TensorProto> => ({
  name: 'w',
  dims: [512],
  dataType: 1,
  dataLocation: 1,
  externalData: Object.entries(fields).map(
    ([key, value]): StringStringEntryProto => ({ key, value }),
  ),
})

/** Writes `model.onnx`, y = x + w with w in another file, and gives its path. */
function writeModelFile(fields: Record<string, string>): string {
  const path = join(folder, 'model.onnx')
  const bytes = modelBytes({
    input: [vector('x', 512)],
    initializer: [external(fields)],
    node: [node('Add', ['x', 'w'], ['y'])],
    output: [vector('y', 512)],
  })
  writeFileSync(path, bytes)
  return path
}

const weightsOf = async (path: string) => {
  const [value] = (await loadModel(path)).graph.initializers
  return elements(value!.tensor!, 'float32')
}

async function run(path: string): Promise<unknown> {
  const session = await InferenceSession.create(path, { logSeverityLevel: 4 })
  const { y } = await session.run({ x: new Tensor('float32', new Float32Array(512), [512]) })
  await session.release()
  return y?.data
}

describe('external data', () => {
  it('is read from its place in the file', async () => {
    writeFileSync(
      join(folder, 'w.bin'),
      Buffer.concat([new Uint8Array(16), weightBytes, new Uint8Array(5)]),
    )
    const path = writeModelFile({ location: 'w.bin', offset: '16', length: '2048' })
    expect(await weightsOf(path)).toEqual(weights)
  })

  it('begins at 0 and is as long as it must be unless the file says otherwise', async () => {
    mkdirSync(join(folder, 'deep'))
    writeFileSync(join(folder, 'deep', 'w.bin'), weightBytes)
    expect(await weightsOf(writeModelFile({ location: 'deep/w.bin' }))).toEqual(weights)
    expect(await weightsOf(writeModelFile({ location: './deep/w.bin' }))).toEqual(weights)
  })

  it('is read when it is asked for, not when the model is loaded', async () => {
    writeFileSync(join(folder, 'w.bin'), weightBytes)
    const model = await loadModel(writeModelFile({ location: 'w.bin' }))
    renameSync(join(folder, 'w.bin'), join(folder, 'gone.bin'))
    const [value] = model.graph.initializers
    expect(() => value!.tensor!.bytes).toThrow(
      /external data 'w.bin' cannot be read: there is no such file — /,
    )
  })

  it('is not taken from a file that was changed in between', async () => {
    writeFileSync(join(folder, 'w.bin'), weightBytes)
    const model = await loadModel(writeModelFile({ location: 'w.bin' }))
    appendFileSync(join(folder, 'w.bin'), 'x')
    const [value] = model.graph.initializers
    expect(() => value!.tensor!.bytes).toThrow(/model.onnx: external data 'w.bin' was changed/)
  })

  it('becomes part of a model that is serialized', async () => {
    writeFileSync(join(folder, 'w.bin'), weightBytes)
    const saved = decodeModel(
      serializeModel(await loadModel(writeModelFile({ location: 'w.bin' }))),
    )
    const [tensor] = saved.graph!.initializer!
    expect(Buffer.compare(tensor!.rawData!, weightBytes)).toBe(0)
    expect([tensor!.externalData, tensor!.dataLocation]).toEqual([[], 0])
  })

  it('inside a function becomes part of the model too', () => {
    writeFileSync(join(folder, 'w.bin'), weightBytes)
    const constant = {
      ...node('Constant', [], ['c']),
      attribute: [{ name: 'value', type: 4, t: external({ location: 'w.bin' }) }],
    }
    const bytes = modelBytes(
      {
        input: [vector('x')],
        node: [{ ...node('F', ['x'], ['y']), domain: 'f' }],
        output: [vector('y')],
      },
      {
        irVersion: 10,
        opsetImport: [
          { domain: '', version: 21 },
          { domain: 'f', version: 1 },
        ],
        functions: [{ name: 'F', domain: 'f', input: ['a'], output: ['c'], node: [constant] }],
      },
    )
    const saved = serializeModel(parseModel(bytes, 'model', folder))
    expect(Buffer.from(saved).includes(Buffer.from(weightBytes))).toBe(true)
    expect(Buffer.from(saved).includes('w.bin')).toBe(false)
  })
})

describe('external data that cannot be trusted', () => {
  const outside = /^.*model.onnx: external data '.*' lies outside the model's folder$/

  beforeEach(() => {
    writeFileSync(join(folder, '..', 'secret.bin'), weightBytes)
    writeFileSync(join(folder, 'w.bin'), weightBytes)
  })

  it.each([
    ['a parent', () => '../secret.bin'],
    ['a parent by a detour', () => 'deep/../../secret.bin'],
    ['a parent of another system', () => '..\\secret.bin'],
    ['a way out and back in', () => '../models/w.bin'],
    ['an absolute path', () => join(folder, '..', 'secret.bin')],
    ['an absolute path inside', () => join(folder, 'w.bin')],
    ['a drive', () => 'C:\\secret.bin'],
    [
      'a symbolic link out',
      () => {
        symlinkSync(join(folder, '..', 'secret.bin'), join(folder, 'link.bin'))
        return 'link.bin'
      },
    ],
    [
      'a link to a folder outside',
      () => {
        symlinkSync(join(folder, '..'), join(folder, 'link'))
        return 'link/secret.bin'
      },
    ],
  ])('is refused: %s', async (_, location) => {
    const path = writeModelFile({ location: location() })
    await expect(loadModel(path)).rejects.toThrow(outside)
    await expect(loadModel(path)).rejects.toThrow(UserError)
  })

  it.each([
    ['a folder', { location: '.' }, /lies outside|is not a file/],
    ['a folder inside', { location: 'sub' }, /is not a file/],
    ['no name', {}, /is no file name/],
    ['a zero byte', { location: 'w.bin\0.txt' }, /is no file name/],
    [
      'line breaks',
      { location: 'a\nb' },
      /'a\?b' cannot be read: there is no such file — put it beside the model$/,
    ],
    [
      'a missing file',
      { location: 'none.bin' },
      /cannot be read: there is no such file — put it beside the model$/,
    ],
    [
      'a range beyond the end',
      { location: 'w.bin', offset: '4' },
      /ends at byte 2052, but the file has 2048/,
    ],
    ['a huge offset', { location: 'w.bin', offset: '9007199254740993' }, /offset is no byte count/],
    ['a negative offset', { location: 'w.bin', offset: '-4' }, /offset is no byte count: '-4'/],
    ['an offset in words', { location: 'w.bin', offset: 'x' }, /offset is no byte count/],
    [
      'a length that does not fit',
      { location: 'w.bin', length: '8' },
      /has 8 bytes, but its type and shape need 2048/,
    ],
  ])('is refused: %s', async (_, fields, message) => {
    mkdirSync(join(folder, 'sub'))
    const path = writeModelFile(fields as Record<string, string>)
    await expect(loadModel(path)).rejects.toThrow(message)
    await expect(loadModel(path)).rejects.toThrow(UserError)
  })

  it('may be a link inside the folder, and the folder may be a link', async () => {
    symlinkSync('w.bin', join(folder, 'link.bin'))
    writeModelFile({ location: 'link.bin' })
    symlinkSync(folder, join(folder, '..', 'alias'))
    expect(await weightsOf(join(folder, '..', 'alias', 'model.onnx'))).toEqual(weights)
  })

  it('is refused where the model has no folder', () => {
    const path = writeModelFile({ location: 'w.bin' })
    expect(() => parseModel(readFileSync(path))).toThrow(
      /^model: external data 'w.bin' cannot be read: the model comes from no folder/,
    )
  })
})

describe('saving with external data', () => {
  it('gives a pair of files that ONNX Runtime and Condense read', async () => {
    writeFileSync(join(folder, 'w.bin'), weightBytes)
    const model = await loadModel(writeModelFile({ location: 'w.bin' }))
    const [w] = model.graph.initializers
    const small = model.graph.addInitializer('small', tensorOf('float32', [1], [0]))
    const shared = model.graph.addInitializer('shared', w!.tensor!)
    const target = join(folder, 'out.onnx')
    await saveModel(model, target, { externalData: true })
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'out.onnx', 'out.onnx.data', 'w.bin'])
    expect(statSync(`${target}.data`).size).toBe(4096)
    const [, second, third] = (await loadModel(target)).graph.initializers
    expect(second!.tensor!.bytes).toEqual(small.tensor!.bytes)
    expect(elements(third!.tensor!, 'float32')).toEqual(elements(shared.tensor!, 'float32'))
    expect(await run(target)).toEqual(weights)
  })

  it('can replace the file that it reads from, once', async () => {
    const path = join(folder, 'model.onnx')
    writeFileSync(`${path}.data`, Buffer.concat([new Uint8Array(16), weightBytes]))
    const model = await loadModel(writeModelFile({ location: 'model.onnx.data', offset: '16' }))
    await saveModel(model, path, { externalData: true })
    expect(await weightsOf(path)).toEqual(weights)
    expect(await run(path)).toEqual(weights)
  })

  it('leaves nothing behind where it cannot write', async () => {
    writeFileSync(join(folder, 'w.bin'), weightBytes)
    const model = await loadModel(writeModelFile({ location: 'w.bin' }))
    mkdirSync(join(folder, 'taken.onnx.data'))
    await expect(
      saveModel(model, join(folder, 'taken.onnx'), { externalData: true }),
    ).rejects.toThrow(UserError)
    await expect(saveModel(model, join(folder, 'none', 'm.onnx'))).rejects.toThrow(
      /no such file or folder/,
    )
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'taken.onnx.data', 'w.bin'])
  })
})
