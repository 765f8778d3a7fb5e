// Models on the Hugging Face Hub: `hf:owner/name[@revision][/path]`, with the settings of Hugging Face's own tools.
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { Digest } from '../base/digest.ts'
import { download } from '../base/download.ts'
import { UserError } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'
import { RequestError } from '../base/request.ts'
import type { FetchContext } from './fetch-context.ts'

/** A model on the Hub, as a recipe names it. */
export interface HubAddress {
  readonly owner: string
  readonly name: string
  /** A branch, a tag or a commit. */
  readonly revision: string
  /** Of the file in the repository; the usual places are looked at where it is absent. */
  readonly path: string | undefined
}

/** What a repository holds at one commit. */
export interface HubListing {
  readonly commit: string
  readonly files: readonly string[]
}

const pattern = /^hf:(\w[\w.-]{0,95})\/(\w[\w.-]{0,95})(?:@([^/@]{1,200}))?(?:\/(.{1,500}))?$/

/** Reads `hf:owner/name[@revision][/path]`; a slash in a revision is written `%2F`. A {@link UserError} otherwise. */
export function parseHubAddress(text: string): HubAddress {
  const [, owner, name, revision = 'main', path] = pattern.exec(text) ?? []
  const wrong = new UserError(
    `model: not an address on the Hugging Face Hub: '${text.slice(0, 100)}' — write hf:owner/name, hf:owner/name@revision or hf:owner/name/path/to/model.onnx`,
  )
  if (owner === undefined || name === undefined) throw wrong
  if (path?.split('/').some((part) => ['', '.', '..'].includes(part))) throw wrong
  try {
    return { owner, name, revision: decodeURIComponent(revision), path }
  } catch {
    throw wrong
  }
}

/** Where the Hub is and who asks: what Hugging Face's own tools read from the environment. */
export interface HubSettings {
  /** Without a slash at the end. */
  readonly endpoint: string
  readonly token: string | undefined
  readonly isOffline: boolean
}

/** Reads `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_TOKEN` and, where that is not set, the token file of `hf auth login`. */
export function hubSettings(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): HubSettings {
  const { HF_ENDPOINT, HF_HUB_OFFLINE = '' } = environment
  return {
    endpoint: (HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    token: tokenFrom(environment),
    isOffline: isOn(HF_HUB_OFFLINE),
  }
}

const isOn = (text: string): boolean => ['1', 'ON', 'YES', 'TRUE'].includes(text.toUpperCase())

function tokenFrom(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN = '' } = environment
  const given = (HF_TOKEN || HUGGING_FACE_HUB_TOKEN)?.trim()
  if (given) return given
  if (isOn(HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined
  const { HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = environment
  const home = HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface')
  const path = HF_TOKEN_PATH || join(home, 'token')
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    // Most people have none.
    return undefined
  }
}

/** The headers of a request to the Hub. */
export const hubHeaders = ({ token }: HubSettings): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` }

/** Where a file of a repository is. */
export function hubFileAddress(
  { endpoint }: HubSettings,
  { owner, name }: HubAddress,
  commit: string,
  path: string,
): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/')
  return `${endpoint}/${owner}/${name}/resolve/${commit}/${encoded}`
}

/** The SHA-256 that the Hub gives for large files, in the answer that redirects to where they are stored. */
export function hubDigest(headers: readonly Headers[]): Digest | undefined {
  for (const answer of headers) {
    const [, value] = /^"([0-9a-f]{64})"$/.exec(answer.get('x-linked-etag') ?? '') ?? []
    if (value !== undefined) return { algorithm: 'sha256', value }
  }
  return undefined
}

const maximumListingBytes = 32 * 2 ** 20

const listingSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.object({ rfilename: z.string() })),
})

/**
 * What a repository holds at a revision. The answer is kept in `folder`: a commit is asked for once, and the last known
 * state of a branch is used, and said to be, where the Hub cannot be reached.
 */
export async function hubListing(
  address: HubAddress,
  settings: HubSettings,
  folder: string,
  { log, signal, pauseMs }: FetchContext,
): Promise<HubListing> {
  const { owner, name, revision } = address
  const repository = `${owner}/${name}`
  const path = join(folder, `${encodeURIComponent(revision)}.json`)
  const isKnown = existsSync(path)
  const isFixed = /^[0-9a-f]{40}$/.test(revision)
  if (isKnown && (isFixed || settings.isOffline)) return readListing(path, repository)
  if (settings.isOffline)
    throw new UserError(
      `hf:${repository}: not in the cache, and HF_HUB_OFFLINE is set — unset it to download the model`,
    )
  try {
    const revisionPart = encodeURIComponent(revision)
    await download(`${settings.endpoint}/api/models/${repository}/revision/${revisionPart}`, path, {
      maximumBytes: maximumListingBytes,
      headers: hubHeaders(settings),
      resume: false,
      signal,
      ...(pauseMs === undefined ? {} : { pauseMs }),
    })
  } catch (thrown) {
    const isAnswer =
      thrown instanceof RequestError && thrown.status !== undefined && !thrown.mayPass
    if (!(thrown instanceof RequestError) || isAnswer || !isKnown)
      throw explainHubError(address, settings, thrown)
    log?.(`hf:${repository}: the Hub cannot be reached; using what it had the last time`)
  }
  return readListing(path, repository)
}

function readListing(path: string, repository: string): HubListing {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
  try {
    const { sha, siblings } = listingSchema.parse(JSON.parse(text))
    return { commit: sha, files: siblings.map(({ rfilename }) => rfilename) }
  } catch (thrown) {
    throw new UserError(
      `hf:${repository}: the Hub's list of files is not what it should be — check HF_ENDPOINT, and remove ${path}`,
      { cause: thrown },
    )
  }
}

/** What a refusal by the Hub means; it says 401 for what does not exist as well. */
export function explainHubError(
  { owner, name, revision }: HubAddress,
  { endpoint, token }: HubSettings,
  thrown: unknown,
): unknown {
  if (!(thrown instanceof RequestError)) return thrown
  const where = `hf:${owner}/${name}`
  const page = `${endpoint}/${owner}/${name}`
  const who = token === undefined ? 'set HF_TOKEN' : 'use an HF_TOKEN that may read it'
  if (thrown.status === 401 || thrown.status === 403)
    return new UserError(
      `${where}: the Hub refuses access: status ${thrown.status} — check the name; for a private or gated model accept its terms at ${page} and ${who}`,
      { cause: thrown },
    )
  if (thrown.status === 404)
    return new UserError(
      `${where}: the Hub has no such model or revision: '${revision}' — check them at ${page}; for a private model ${who}`,
      { cause: thrown },
    )
  return thrown
}
