import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { Interrupted, UserError } from '../../base/errors.ts'
import { isModelAddress, locateModel } from '../../models/fetch.ts'
import { hubSettings, parseHubAddress } from '../../models/hub.ts'
import { oneInput } from '../../models/layers.ts'
import { modelSource, openSource } from '../../models/source.ts'
import { externalFiles } from '../../onnx/external-files.ts'
import type { TensorProto } from '../../onnx/proto.ts'
import { modelBytes, node, vector } from '../onnx/bytes.ts'
import { temporaryFolder } from '../support/folder.ts'
import { sendFile, startServer, type TestServer } from '../support/server.ts'

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const small = Buffer.from(
  modelBytes({
    input: [vector('x', 4)],
    node: [node('Relu', ['x'], ['y'])],
    output: [vector('y', 4)],
  }),
)

const external = (location: string): Partial<TensorProto> => ({
  name: 'w',
  dims: [4],
  dataType: 1,
  dataLocation: 1,
  externalData: [{ key: 'location', value: location }],
})

const large = (location = 'model.onnx_data') =>
  Buffer.from(
    modelBytes({
      input: [vector('x', 4)],
      initializer: [external(location)],
      node: [node('Add', ['x', 'w'], ['y'])],
      output: [vector('y', 4)],
    }),
  )

const weights = Buffer.from(new Float32Array([1, 2, 3, 4]).buffer)
const build = { ...oneInput([4], 2), seed: 1 }

/** A repository on a server that behaves as the Hub does. */
interface Repository {
  readonly commit: string
  readonly files: ReadonlyMap<string, Uint8Array>
  /** Who may read it; everybody unless told. */
  readonly token?: string
}

const repositories = new Map<string, Repository>()
const commit = 'c0ffee'.padEnd(40, '0')
let broken: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
let hub: TestServer
let cdn: TestServer

const contentOf = (url: string): Uint8Array | undefined => {
  const [, name = '', path = ''] =
    /^\/(?:cdn\/)?(\w+\/[\w.-]+)\/(?:resolve\/\w+\/)?(.+)$/.exec(url) ?? []
  return repositories.get(name)?.files.get(decodeURIComponent(path))
}

beforeAll(async () => {
  // Where the Hub stores large files: another server, which no token is for.
  cdn = await startServer((request, response) => {
    if (request.headers.authorization !== undefined) response.writeHead(400).end()
    else if (!broken?.(request, response)) sendFile(request, response, contentOf(request.url!)!)
  })
  hub = await startServer((request, response) => {
    const url = request.url!
    const [, name = '', revision = ''] =
      /^\/api\/models\/(\w+\/[\w.-]+)\/revision\/(.+)$/.exec(url) ?? []
    const [, owner = ''] = /^\/(?:api\/models\/)?(\w+\/[\w.-]+)/.exec(url) ?? []
    const repository = repositories.get(owner)
    if (!repository) return response.writeHead(401).end('{"error":"Invalid username or password."}')
    if (repository.token && request.headers.authorization !== `Bearer ${repository.token}`)
      return response.writeHead(403, { 'x-error-code': 'GatedRepo' }).end()
    if (name !== '') {
      if (!['main', 'v1', 'refs%2Fpr%2F1', repository.commit].includes(revision))
        return response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end()
      const siblings = [...repository.files.keys()].map((rfilename) => ({ rfilename }))
      return response.end(JSON.stringify({ id: owner, sha: repository.commit, siblings }))
    }
    const content = contentOf(url)
    if (!content) return response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end()
    if (!/\.onnx|data/.test(url)) return sendFile(request, response, content, { etag: '"abc"' })
    return response
      .writeHead(302, {
        location: `${cdn.origin}/cdn${url.replace(/resolve\/\w+\//, '')}`,
        'x-linked-etag': `"${hash(content)}"`,
        'x-linked-size': content.length,
        'x-repo-commit': repository.commit,
      })
      .end()
  })
})

function publish(name: string, files: Record<string, Uint8Array | string>, more = {}): void {
  const map = new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]))
  repositories.set(name, { commit, files: map, ...more })
}

function setUp(environment: Record<string, string> = {}) {
  broken = undefined
  const log: string[] = []
  hub.received.length = 0
  cdn.received.length = 0
  const context = {
    cacheFolder: temporaryFolder(),
    log: (line: string) => log.push(line),
    environment: { HF_ENDPOINT: hub.origin, HF_HOME: '/nowhere', ...environment },
    pauseMs: 1,
  }
  return { context, log }
}

describe('a model on the Hub', () => {
  it('is fetched with its data and settings, once for each commit', async () => {
    publish('me/net', {
      'onnx/model.onnx': large(),
      'onnx/model.onnx_data': weights,
      'onnx/model_int8.onnx': small,
      'config.json': '{}',
      'tokenizer.json': '{}',
      'README.md': '',
      'pytorch_model.bin': 'x',
    })
    const { context, log } = setUp()
    const { file, folder } = await locateModel({ file: 'hf:me/net' }, context)
    expect(file).toBe(join(folder, 'onnx', 'model.onnx'))
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'onnx', 'tokenizer.json'])
    expect(readdirSync(dirname(file)).sort()).toEqual(['model.onnx', 'model.onnx_data'])
    expect(log).toEqual([
      `downloading onnx/model.onnx of hf:me/net (main, commit c0ffee000000) to ${folder}`,
    ])
    const model = await openSource({ file: 'hf:me/net' }, build, context)
    expect(model.graph.initializers.size).toBe(1)
    expect(cdn.received).toHaveLength(2)
    // The branch alone is asked for again.
    expect(hub.received.map(({ path }) => path).slice(-1)).toEqual([
      '/api/models/me/net/revision/main',
    ])
    expect(hub.received).toHaveLength(6)
    const fixed = { file: `hf:me/net@${commit}` }
    await locateModel(fixed, context)
    const before = hub.received.length
    expect((await locateModel(fixed, context)).file).toBe(file)
    expect(hub.received).toHaveLength(before)
  })

  it.each([
    [['model.onnx'], '', 'model.onnx'],
    [['onnx/model.onnx', 'model.onnx'], '', 'onnx/model.onnx'],
    [['net.onnx'], '', 'net.onnx'],
    [['onnx/a.onnx', 'onnx/b.onnx'], '/onnx/b.onnx', 'onnx/b.onnx'],
    [['deep/er/ä b.onnx'], '/deep/er/ä b.onnx', 'deep/er/ä b.onnx'],
    [['model.onnx'], '@v1', 'model.onnx'],
    [['model.onnx'], '@refs%2Fpr%2F1/model.onnx', 'model.onnx'],
  ])('of the files %j, is found by %j', async (files, rest, expected) => {
    publish('me/net', Object.fromEntries(files.map((name) => [name, small])))
    const { context } = setUp()
    const { file, folder } = await locateModel({ file: `hf:me/net${rest}` }, context)
    expect(file).toBe(join(folder, ...expected.split('/')))
    expect(readFileSync(file).equals(small)).toBe(true)
  })

  it.each([
    [[], '', /^hf:me\/net: the repository has no ONNX file — /],
    [
      ['a.onnx', 'onnx/b.onnx'],
      '',
      /several ONNX files, none called model\.onnx: a\.onnx, onnx\/b\.onnx — name one, as hf:me\/net\/a\.onnx$/,
    ],
    [['a.onnx'], '/b.onnx', /no file 'b\.onnx' — it has a\.onnx$/],
    [['a.onnx'], '@v7', /no such model or revision: 'v7' — /],
  ])('of the files %j, is not found by %j', async (files, rest, message) => {
    publish('me/net', Object.fromEntries(files.map((name) => [name, small])))
    const { context } = setUp()
    await expect(locateModel({ file: `hf:me/net${rest}` }, context)).rejects.toThrow(message)
  })

  it('that is private needs a token, which goes to the Hub alone', async () => {
    publish('me/secret', { 'model.onnx': small }, { token: 'hf_key' })
    const { context } = setUp()
    const refused = locateModel({ file: 'hf:me/secret' }, context)
    await expect(refused).rejects.toThrow(
      /^hf:me\/secret: the Hub refuses access: status 403 — .+ and set HF_TOKEN$/,
    )
    await expect(refused).rejects.toBeInstanceOf(UserError)
    const wrong = setUp({ HF_TOKEN: 'hf_wrong' }).context
    await expect(locateModel({ file: 'hf:me/secret' }, wrong)).rejects.not.toThrow(/hf_wrong/)
    const { context: right } = setUp({ HF_TOKEN: ' hf_key\n' })
    const { file } = await locateModel({ file: 'hf:me/secret' }, right)
    expect(readFileSync(file).equals(small)).toBe(true)
    expect(cdn.received[0]?.headers.authorization).toBeUndefined()
  })

  it('that does not exist is one line', async () => {
    const { context } = setUp()
    await expect(locateModel({ file: 'hf:me/nothing' }, context)).rejects.toThrow(
      /^hf:me\/nothing: the Hub refuses access: status 401 — check the name; [^\n]+$/,
    )
  })

  it('is used from the cache where the Hub cannot be reached', async () => {
    publish('me/net', { 'model.onnx': small, 'config.json': '{}' })
    const { context, log } = setUp()
    const before = await locateModel({ file: 'hf:me/net' }, context)
    const away = { ...context.environment, HF_ENDPOINT: 'http://127.0.0.1:2' }
    const unreachable = { ...context, environment: away }
    expect(await locateModel({ file: 'hf:me/net' }, unreachable)).toEqual(before)
    expect(log.at(-1)).toMatch(/the Hub cannot be reached; using what it had the last time/)
    const count = hub.received.length
    const offline = { ...context, environment: { ...context.environment, HF_HUB_OFFLINE: '1' } }
    expect(await locateModel({ file: 'hf:me/net' }, offline)).toEqual(before)
    await expect(locateModel({ file: 'hf:me/other' }, offline)).rejects.toThrow(
      /not in the cache, and HF_HUB_OFFLINE is set/,
    )
    expect(hub.received).toHaveLength(count)
  })

  it('is continued after a cut connection', async () => {
    publish('me/net', { 'model.onnx': large(), 'model.onnx_data': weights })
    const { context } = setUp()
    let cuts = 0
    broken = (request, response) => {
      if (cuts++ > 0) return false
      sendFile(request, response, contentOf(request.url!)!, { cutAt: 10 })
      return true
    }
    await locateModel({ file: 'hf:me/net' }, context)
    expect(cdn.received.map(({ headers }) => headers.range)).toEqual([
      undefined,
      'bytes=10-',
      undefined,
    ])
  })

  it('is refused where its bytes are not those that the Hub names', async () => {
    publish('me/net', { 'model.onnx': small })
    const { context } = setUp()
    broken = (request, response) => {
      sendFile(request, response, Buffer.from('other bytes'))
      return true
    }
    await expect(locateModel({ file: 'hf:me/net' }, context)).rejects.toThrow(
      /not the file that is expected: sha256/,
    )
    const found = readdirSync(join(context.cacheFolder, 'models'), { recursive: true })
    expect(found.filter((name) => String(name).endsWith('.onnx'))).toEqual([
      `hub/me--net/${commit}/model.onnx`,
    ])
    expect(
      existsSync(
        join(context.cacheFolder, 'models/hub/me--net', commit, 'model.onnx', 'model.onnx'),
      ),
    ).toBe(false)
  })

  it('is refused where it is not what the recipe says, also from the cache', async () => {
    publish('me/net', { 'model.onnx': small })
    const { context } = setUp()
    const wrong = { file: 'hf:me/net', sha256: '0'.repeat(64) }
    await expect(locateModel(wrong, context)).rejects.toThrow(
      /expected: sha256 \w+ instead of 0000/,
    )
    await locateModel({ file: 'hf:me/net', sha256: hash(small).toUpperCase() }, context)
    await expect(locateModel(wrong, context)).rejects.toThrow(/not the model that is expected/)
  })

  it('is refused where model and data together are too large', async () => {
    publish('me/net', { 'model.onnx': large(), 'model.onnx_data': Buffer.alloc(5000) })
    const { context } = setUp()
    const source = { file: 'hf:me/net', maximumBytes: 4000 }
    await expect(locateModel(source, context)).rejects.toThrow(
      /model\.onnx_data: the file is too large: 5000 bytes, where \d{4} is the most/,
    )
    await locateModel({ ...source, maximumBytes: 10_000 }, context)
  })

  it('does not write where its external data points', async () => {
    publish('me/net', { 'model.onnx': large('../../evil'), evil: weights })
    const { context } = setUp()
    await expect(locateModel({ file: 'hf:me/net' }, context)).rejects.toThrow(
      /external data '?"?\.\.\/\.\.\/evil'?"? lies outside the model's folder/,
    )
  })

  it.each([
    ['no JSON', 'hello'],
    ['no commit', '{"sha":"../../x","siblings":[]}'],
    ['no files', `{"sha":"${commit}"}`],
  ])('with a list that is %s is refused', async (_what, answer) => {
    const { origin } = await startServer((_request, response) => response.end(answer))
    const { context } = setUp({ HF_ENDPOINT: `${origin}/` })
    await expect(locateModel({ file: 'hf:me/net' }, context)).rejects.toThrow(
      /^hf:me\/net: the Hub's list of files is not what it should be — [^\n]+$/,
    )
  })

  it('is given up when the signal is aborted', async () => {
    publish('me/net', { 'model.onnx': small })
    const { context } = setUp()
    broken = (_request, response) => {
      response.writeHead(200, { 'content-length': 1e6 })
      const timer = setInterval(() => response.write('x'), 5)
      response.on('close', () => clearInterval(timer))
      return true
    }
    const signal = AbortSignal.timeout(200)
    await expect(locateModel({ file: 'hf:me/net' }, { ...context, signal })).rejects.toBeInstanceOf(
      Interrupted,
    )
  })
})

describe('an address on the Hub', () => {
  it('has an owner, a name, a revision and a path', () => {
    expect(parseHubAddress('hf:a/b-c.d@refs%2Fpr%2F1/onnx/x.onnx')).toEqual({
      owner: 'a',
      name: 'b-c.d',
      revision: 'refs/pr/1',
      path: 'onnx/x.onnx',
    })
    expect(parseHubAddress('hf:a/b')).toEqual({
      owner: 'a',
      name: 'b',
      revision: 'main',
      path: undefined,
    })
  })

  it.each([
    'hf:',
    'hf:a',
    'hf://a/b',
    'hf:../b',
    'hf:a/..',
    'hf:a/b@',
    'hf:a/b@%/c',
    'hf:a/b/../c',
    'hf:a/b//c',
    'hf:a/b/.',
  ])('is not %s', (text) => {
    expect(() => parseHubAddress(text)).toThrow(/not an address on the Hugging Face Hub/)
  })

  it('is not a path', () => {
    expect(['hf:a/b', 'https://x/y', 'HTTP://x'].map(isModelAddress)).toEqual([true, true, true])
    expect(['a/b.onnx', '/hf:a', 'https.onnx', 'C:\\x.onnx'].map(isModelAddress)).toEqual([
      false,
      false,
      false,
      false,
    ])
  })
})

describe('settings of the Hub', () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'token'), 'from file\n')
  it.each([
    [{ HF_HOME: '/nowhere' }, 'https://huggingface.co', undefined, false],
    [{ HF_HOME: folder }, 'https://huggingface.co', 'from file', false],
    [{ HF_HOME: folder, HF_TOKEN: 'given' }, 'https://huggingface.co', 'given', false],
    [{ HF_TOKEN_PATH: join(folder, 'token') }, 'https://huggingface.co', 'from file', false],
    [
      { HF_HOME: folder, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
      'https://huggingface.co',
      undefined,
      false,
    ],
    [
      { HF_HOME: '/nowhere', HF_ENDPOINT: 'https://mirror/', HF_HUB_OFFLINE: 'true' },
      'https://mirror',
      undefined,
      true,
    ],
  ])('are read from %j', (environment, endpoint, token, isOffline) => {
    expect(hubSettings(environment)).toEqual({ endpoint, token, isOffline })
  })
})

describe('a model at an address', () => {
  const serve = (files: Record<string, Uint8Array | string>) =>
    startServer((request, response) => {
      const content = new Map(Object.entries(files)).get(
        decodeURIComponent(new URL(request.url!, 'http://x').pathname),
      )
      if (content !== undefined) sendFile(request, response, Buffer.from(content))
      else response.writeHead(404).end()
    })

  it('is fetched once with its external data', async () => {
    const { origin, received } = await serve({
      '/a/net.onnx': large('w b.bin'),
      '/a/w b.bin': weights,
    })
    const { context, log } = setUp()
    const source = { file: `${origin}/a/net.onnx?key=1` }
    const { file, folder } = await locateModel(source, context)
    expect(readdirSync(folder).sort()).toEqual(['net.onnx', 'w b.bin'])
    expect(log).toEqual([`downloading ${origin}/a/net.onnx?… to ${folder}`])
    expect((await openSource(source, build, context)).graph.nodes).toHaveLength(1)
    expect(log[1]).toBe(
      `using the copy of ${origin}/a/net.onnx?… in ${folder}; remove it to download it again`,
    )
    expect(received).toHaveLength(2)
    expect(dirname(file)).toBe(folder)
  })

  it('is fetched again where the copy is not what the recipe says', async () => {
    const { origin, received } = await serve({ '/net.onnx': small })
    const { context } = setUp()
    const source = { file: `${origin}/net.onnx`, sha256: hash(small) }
    const { file } = await locateModel(source, context)
    await locateModel(source, context)
    expect(received).toHaveLength(1)
    writeFileSync(file, 'meddled with')
    await locateModel(source, context)
    expect(received).toHaveLength(2)
    expect(readFileSync(file).equals(small)).toBe(true)
    await expect(locateModel({ ...source, sha256: '0'.repeat(64) }, context)).rejects.toThrow(
      /expected: sha256/,
    )
  })

  it('may be one of TensorFlow.js, with its shards', async () => {
    const topology = {
      modelTopology: {},
      weightsManifest: [{ paths: ['s/1.bin', '2.bin'], weights: [] }],
    }
    const { origin } = await serve({
      '/m/model.json': JSON.stringify(topology),
      '/m/s/1.bin': 'x',
      '/m/2.bin': 'x',
    })
    const { context } = setUp()
    const { folder } = await locateModel({ file: `${origin}/m/model.json` }, context)
    expect(readdirSync(folder, { recursive: true }).sort()).toEqual([
      '2.bin',
      'model.json',
      's',
      's/1.bin',
    ])
    topology.weightsManifest[0]!.paths = ['../../x']
    const evil = await serve({ '/m/model.json': JSON.stringify(topology) })
    await expect(locateModel({ file: `${evil.origin}/m/model.json` }, context)).rejects.toThrow(
      /lies outside the model's folder: '\.\.\/\.\.\/x'/,
    )
  })

  it.each([
    [
      '<!DOCTYPE html><html>',
      /a page for people, not the model — give the address of the file itself/,
    ],
    ['\n<html>', /a page for people/],
    [
      'version https://git-lfs.github.com/spec/v1\noid sha256:x',
      /a note of git's large file storage/,
    ],
  ])('is not %j', async (content, message) => {
    const { origin } = await serve({ '/net.onnx': content })
    const { context } = setUp()
    const source = { file: `${origin}/net.onnx` }
    await expect(locateModel(source, context)).rejects.toThrow(message)
    await expect(locateModel(source, context)).rejects.toThrow(message)
  })

  it.each(['/nothing.onnx', '/a/../../etc/passwd'])('is not at %s', async (path) => {
    const { origin } = await serve({})
    const { context } = setUp()
    await expect(locateModel({ file: origin + path }, context)).rejects.toThrow(
      /there is no such file: status 404 — check the address$/,
    )
  })
})

describe('a model on disk', () => {
  it('is a file, or is in a folder as on the Hub', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'onnx'))
    writeFileSync(join(folder, 'onnx', 'model.onnx'), small)
    const file = join(folder, 'onnx', 'model.onnx')
    expect(await locateModel({ file: folder })).toEqual({ file, folder })
    expect(await locateModel({ file })).toEqual({ file, folder })
    expect((await openSource({ file: folder }, build)).graph.nodes).toHaveLength(1)
    rmSync(file)
    await expect(locateModel({ file: folder })).rejects.toThrow(
      /: no ONNX file in this folder — put it there/,
    )
    await expect(openSource({ file }, build)).rejects.toThrow(UserError)
  })

  it('is compared with its digest', async () => {
    const file = join(temporaryFolder(), 'model.onnx')
    writeFileSync(file, small)
    await locateModel({ file, sha256: hash(small) })
    await expect(locateModel({ file, sha256: '1'.repeat(64) })).rejects.toThrow(
      /: not the model that is expected: sha256 \w+ instead of 1111/,
    )
  })

  it('is a source with options that are checked', () => {
    expect(modelSource.parse({ file: 'hf:a/b', sha256: 'A'.repeat(64), maximumBytes: 5 })).toEqual({
      file: 'hf:a/b',
      sha256: 'A'.repeat(64),
      maximumBytes: 5,
    })
    expect(modelSource.safeParse({ file: 'x', sha256: 'abc' }).success).toBe(false)
    expect(modelSource.safeParse({ file: 'x', maximumBytes: 0 }).success).toBe(false)
  })
})

describe('external data of a model', () => {
  const write = (bytes: Uint8Array) => {
    const path = join(temporaryFolder(), 'model.onnx')
    writeFileSync(path, bytes)
    return path
  }

  it('is named wherever it is used', async () => {
    expect(await externalFiles(write(large('a/b.bin')))).toEqual(['a/b.bin'])
    expect(await externalFiles(write(small))).toEqual([])
    expect(await externalFiles(write(Buffer.from('no model')))).toEqual([])
  })

  it.each(['../x', '/x', 'a//x', 'a/../x', 'C:/x', '..\\x', '', 'a\nb'])(
    'is not at %j',
    async (location) => {
      await expect(externalFiles(write(large(location)))).rejects.toThrow(
        /outside the model's folder/,
      )
    },
  )
})
