// Models by address: what a recipe names as a model's file, brought to this machine.
import { existsSync, statSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isAddress, parseAddress, showAddress } from '../base/addresses.ts'
import { type Digest, digestOfFile } from '../base/digest.ts'
import { download } from '../base/download.ts'
import { UserError } from '../base/errors.ts'
import { sha256 } from '../base/hash.ts'
import { externalFiles } from '../onnx/external-files.ts'
import type { FetchContext } from './fetch-context.ts'
import {
  explainHubError,
  type HubAddress,
  hubDigest,
  hubFileAddress,
  hubHeaders,
  hubListing,
  hubSettings,
  parseHubAddress,
} from './hub.ts'
import { findModel } from './hub-config.ts'
import { isTfjs, readModelFile } from './tfjs/model-file.ts'

/** A model's file as a recipe names it. */
export interface ModelAddress {
  /** A path of a file or folder, `hf:owner/name[@revision][/path]`, or an http or https address. */
  readonly file: string
  /** What the file must hash to, in hexadecimal; its external data is not a part of it. */
  readonly sha256?: string | undefined
  /** How much may be downloaded at most, external data included; 4 GiB unless told. */
  readonly maximumBytes?: number | undefined
}

/** A model on this machine. */
export interface ModelPlace {
  /** Path of the ONNX file (or of a TensorFlow.js model.json); what it refers to lies beside it. */
  readonly file: string
  /** Where its config.json and tokenizer are, if it has them. */
  readonly folder: string
}

const defaultMaximumBytes = 4 * 2 ** 30
/** Files beside a model that say how it is used. */
const settingFiles = [
  'config.json',
  'preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
]
const maximumSettingBytes = 64 * 2 ** 20

/** True for what is fetched and is no path: these must not be made relative to a recipe. */
export function isModelAddress(file: string): boolean {
  return file.startsWith('hf:') || isAddress(file)
}

/**
 * Brings a model to this machine, if it is not there, and says where it is.
 *
 * A path is taken as it is; in a folder the model is found as {@link findModel} does. What is downloaded lies in the
 * cache and is downloaded once: for a branch on the Hub, once for each commit; for any other address, until the copy is
 * removed or `sha256` asks for another. Everything wrong is a {@link UserError}.
 */
export async function locateModel(
  address: ModelAddress,
  context?: FetchContext,
): Promise<ModelPlace> {
  if (!isModelAddress(address.file)) return await onDisk(address, context?.signal)
  if (!context) throw new Error('internal: a model by address needs a cache folder')
  return address.file.startsWith('hf:')
    ? await fromHub(address, context)
    : await fromWeb(address, context)
}

async function onDisk(
  { file: path, sha256: expected }: ModelAddress,
  signal: AbortSignal | undefined,
): Promise<ModelPlace> {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
  const file = isFolder ? await findModel(path) : path
  if (file === undefined)
    throw new UserError(
      `${path}: no ONNX file in this folder — put it there as onnx/model.onnx or model.onnx, or name the file`,
    )
  if (expected !== undefined) await checkFile(file, expected, signal)
  return { file, folder: isFolder ? path : homeOf(file) }
}

/** The folder that a model's other files are in: on the Hub, a file in `onnx/` belongs to what lies above. */
export function homeOf(file: string): string {
  const folder = dirname(file)
  return basename(folder) === 'onnx' ? dirname(folder) : folder
}

async function checkFile(
  path: string,
  expected: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const found = await digestOfFile(path, { algorithm: 'sha256' }, signal)
  if (found !== expected.toLowerCase())
    throw new UserError(
      `${path}: not the model that is expected: sha256 ${found} instead of ${expected} — correct 'sha256', or remove the file to fetch it again`,
    )
}

/** Downloads files one after the other within a common limit; what is there already is not asked for again. */
function downloader(
  { sha256: expected, maximumBytes = defaultMaximumBytes }: ModelAddress,
  { progress, signal, pauseMs }: FetchContext,
  headers: Readonly<Record<string, string>> = {},
) {
  let leftBytes = maximumBytes
  const get = async (
    from: string,
    path: string,
    options: { readonly digest?: typeof hubDigest | Digest; readonly limit?: number } = {},
  ): Promise<void> => {
    if (!existsSync(path))
      await download(from, path, {
        maximumBytes: Math.min(leftBytes, options.limit ?? leftBytes),
        digest: options.digest,
        headers,
        signal,
        onProgress: progress,
        ...(pauseMs === undefined ? {} : { pauseMs }),
      })
    leftBytes -= statSync(path).size
  }
  const digest: Digest | undefined =
    expected === undefined ? undefined : { algorithm: 'sha256', value: expected }
  return { get, digest }
}

async function fromHub(source: ModelAddress, context: FetchContext): Promise<ModelPlace> {
  const address = parseHubAddress(source.file)
  const settings = hubSettings(context.environment)
  const { owner, name, revision } = address
  const home = join(context.cacheFolder, 'models', 'hub', `${owner}--${name}`)
  const listing = await hubListing(address, settings, join(home, 'revisions'), context)
  const path = chooseFile(address, listing.files)
  const folder = join(home, listing.commit, path.replaceAll('/', '--').replace(/[^\w.-]/g, '_'))
  const file = join(folder, ...path.split('/'))
  if (!existsSync(file))
    context.log?.(
      `downloading ${path} of hf:${owner}/${name} (${revision}, commit ${listing.commit.slice(0, 12)}) to ${folder}`,
    )
  const { get, digest } = downloader(source, context, hubHeaders(settings))
  const fetchFile = (inside: string, options = {}) =>
    get(
      hubFileAddress(settings, address, listing.commit, inside),
      join(folder, ...inside.split('/')),
      { digest: hubDigest, ...options },
    )
  try {
    await fetchFile(path, digest ? { digest } : {})
    if (source.sha256 !== undefined) await checkFile(file, source.sha256, context.signal)
    await refuseOther(file, `hf:${owner}/${name}/${path}`)
    for (const companion of await companionsOf(file))
      await fetchFile([...path.split('/').slice(0, -1), companion].join('/'))
    for (const name of settingFiles)
      if (listing.files.includes(name)) await fetchFile(name, { limit: maximumSettingBytes })
  } catch (thrown) {
    throw explainHubError(address, settings, thrown)
  }
  return { file, folder }
}

/** The file that is asked for, or the model in its usual places, as {@link findModel} looks for it on disk. */
function chooseFile({ owner, name, path }: HubAddress, files: readonly string[]): string {
  const where = `hf:${owner}/${name}`
  const models = files.filter(
    (file) => /^(?:onnx\/)?[^/\\]+\.onnx$/.test(file) && !/\p{Cc}/u.test(file),
  )
  const shown = models.slice(0, 5).join(', ') + (models.length > 5 ? ', …' : '')
  if (path !== undefined) {
    if (files.includes(path)) return path
    throw new UserError(
      `${where}: the repository has no file '${path}' — ${models.length > 0 ? `it has ${shown}` : 'it has no ONNX file, export the model first'}`,
    )
  }
  const usual = ['onnx/model.onnx', 'model.onnx'].find((file) => files.includes(file))
  if (usual !== undefined) return usual
  if (models.length === 1) return models[0]!
  throw new UserError(
    models.length === 0
      ? `${where}: the repository has no ONNX file — export the model to ONNX, or name another repository`
      : `${where}: several ONNX files, none called model.onnx: ${shown} — name one, as ${where}/${models[0]}`,
  )
}

async function fromWeb(source: ModelAddress, context: FetchContext): Promise<ModelPlace> {
  const url = parseAddress(source.file)
  const shown = showAddress(url)
  const last = url.pathname
    .split('/')
    .at(-1)!
    .replace(/[^\w.-]/g, '_')
  const name = /\.(?:onnx|json)$/.test(last) ? last.slice(-100) : 'model.onnx'
  const home = join(context.cacheFolder, 'models', 'web')
  const folder = join(home, `${name}-${sha256(url.href).slice(0, 16)}`)
  const file = join(folder, name)
  const { get, digest } = downloader(source, context)
  if (
    existsSync(file) &&
    digest &&
    (await digestOfFile(file, digest, context.signal)) !== digest.value.toLowerCase()
  )
    await rm(file)
  context.log?.(
    existsSync(file)
      ? `using the copy of ${shown} in ${folder}${digest ? '' : '; remove it to download it again'}`
      : `downloading ${shown} to ${folder}`,
  )
  await get(url.href, file, digest ? { digest } : {})
  await refuseOther(file, shown)
  for (const companion of await companionsOf(file)) {
    const encoded = companion.split('/').map(encodeURIComponent).join('/')
    await get(new URL(encoded, url).href, join(folder, ...companion.split('/')))
  }
  return { file, folder }
}

/** Files that a model is useless without, relative to its folder. */
async function companionsOf(file: string): Promise<string[]> {
  if (!isTfjs(file)) return await externalFiles(file)
  const paths = readModelFile(file).weightsManifest.flatMap((group) => group.paths)
  for (const path of paths)
    if (/[\p{Cc}\\:]/u.test(path) || path.split('/').some((part) => ['', '.', '..'].includes(part)))
      throw new UserError(
        `${file}: a shard of the weights lies outside the model's folder: '${path.slice(0, 100).replace(/\p{Cc}/gu, ' ')}' — convert the model again`,
      )
  return [...new Set(paths)]
}

/** Servers answer with a page, or git with a note, where a file is asked for in the wrong way. */
async function refuseOther(file: string, where: string): Promise<void> {
  const handle = await open(file)
  let head: string
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(64), 0, 64, 0)
    head = buffer.toString('latin1', 0, bytesRead).trimStart().toLowerCase()
  } finally {
    await handle.close()
  }
  const what = /^<(?:!doctype|html|\?xml)/.test(head)
    ? 'a page for people'
    : head.startsWith('version https://git-lfs')
      ? "a note of git's large file storage"
      : undefined
  if (what === undefined) return
  await rm(file)
  throw new UserError(
    `${where}: ${what}, not the model — give the address of the file itself (…/resolve/… on the Hugging Face Hub, …/raw/… on GitHub)`,
  )
}
