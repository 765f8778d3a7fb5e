// Downloading one file: bounded, resumed where the server allows it, checked, and there in one step.
import { renameSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { showAddress } from './addresses.ts'
import { type Digest, digestOfFile } from './digest.ts'
import { Interrupted, throwIfAborted, UserError } from './errors.ts'
import { explainFileError, makeFolder } from './files.ts'
import {
  claimPart,
  type Part,
  partSize,
  releasePart,
  removeLeftParts,
  removePart,
  restartPart,
  validatorOf,
} from './part.ts'
import { type Answer, explainRequestError, RequestError, request } from './request.ts'

/** How far a download is. */
export interface DownloadProgress {
  /** The address, as messages may show it. */
  readonly address: string
  readonly receivedBytes: number
  /** Undefined where the server does not say. */
  readonly totalBytes: number | undefined
}

/** Options of {@link download}. */
export interface DownloadOptions {
  /** No more bytes than these are accepted, announced or not. */
  readonly maximumBytes: number
  /** What the file must be; or what the headers of the answers, redirects first, say it is. */
  readonly digest?: Digest | ((headers: readonly Headers[]) => Digest | undefined) | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** False starts anew, whatever an earlier download left. */
  readonly resume?: boolean
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** How long to wait before the second try, in milliseconds; each further wait is twice as long. */
  readonly pauseMs?: number
  /** After so many milliseconds without a byte the connection counts as cut. */
  readonly idleMs?: number
}

/** A file that was downloaded. */
export interface Downloaded {
  readonly sizeBytes: number
  /** Headers of the last answers, those of redirects first. */
  readonly headers: readonly Headers[]
}

// Tries in a row without a MiB in between; a server that gives less before each cut is not worth more.
const maximumTries = 5
const worthwhileBytes = 1 << 20
const maximumPauseMs = 30_000

/**
 * Downloads a file to `path`, which is there only when it is whole and right; its folder is made.
 *
 * A cut connection is tried again a few times and continued where the server can; what an interrupted process left is
 * continued as well. Two processes may download the same file. Everything wrong is a {@link UserError} in one line
 * that begins with the address, without passwords and keys; an aborted signal is {@link Interrupted}.
 */
export async function download(
  address: URL | string,
  path: string,
  options: DownloadOptions,
): Promise<Downloaded> {
  throwIfAborted(options.signal)
  makeFolder(dirname(path))
  const part = claimPart(path)
  let isDone = false
  try {
    if (options.resume === false) restartPart(part, undefined)
    const wasBegun = partSize(part) > 0
    let headers = await receive(address, part, options)
    try {
      await check(address, part, headers, options)
    } catch (thrown) {
      // The pieces may be of different versions: once more, in one go.
      if (!wasBegun || !(thrown instanceof UserError)) throw thrown
      restartPart(part, undefined)
      headers = await receive(address, part, options)
      await check(address, part, headers, options)
    }
    const sizeBytes = partSize(part)
    await finish(part, path)
    isDone = true
    removeLeftParts(path)
    return { sizeBytes, headers }
  } finally {
    if (isDone) removePart(part)
    else releasePart(path, part)
  }
}

async function finish({ content }: Part, path: string): Promise<void> {
  try {
    const file = await open(content, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    renameSync(content, path)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

async function receive(
  address: URL | string,
  part: Part,
  options: DownloadOptions,
): Promise<readonly Headers[]> {
  const { signal, pauseMs = 1000 } = options
  for (let tries = 1, worthAt = partSize(part); ; tries++)
    try {
      return await attempt(address, part, options)
    } catch (thrown) {
      if (!(thrown instanceof RequestError) || !thrown.mayPass) throw thrown
      if (partSize(part) >= worthAt + worthwhileBytes) {
        worthAt = partSize(part)
        tries = 1
      }
      if (tries >= maximumTries) throw thrown
      const asked = (thrown.retryAfterSeconds ?? 0) * 1000
      await pause(Math.min(Math.max(pauseMs * 2 ** (tries - 1), asked), maximumPauseMs), signal)
    }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await wait(milliseconds, undefined, signal ? { signal } : {})
  } catch {
    throw new Interrupted()
  }
}

async function attempt(
  address: URL | string,
  part: Part,
  options: DownloadOptions,
): Promise<readonly Headers[]> {
  const { headers = {}, signal, idleMs = 60_000 } = options
  const idle = new AbortController()
  const silence = new RequestError(
    `${showAddress(address)}: the connection was cut: no byte came for ${idleMs} ms — try again later`,
    { mayPass: true },
  )
  const timer = setTimeout(() => idle.abort(silence), idleMs)
  const both = signal ? AbortSignal.any([signal, idle.signal]) : idle.signal
  try {
    const begun = partSize(part)
    const validator = validatorOf(part)
    const range =
      begun > 0 && validator !== undefined
        ? { range: `bytes=${begun}-`, 'if-range': validator }
        : undefined
    const answer = await request(address, {
      headers: { ...headers, ...range },
      signal: both,
      accept: range ? [206, 416] : [],
    })
    const { response } = answer
    if (
      response.status === 416 ||
      (response.status === 206 && !continues(response, begun, validator!))
    ) {
      await response.body?.cancel()
      restartPart(part, undefined)
      throw new RequestError(
        `${showAddress(address)}: the server does not continue the file — try again later`,
        { mayPass: true },
      )
    }
    if (response.status === 200) restartPart(part, validatorFrom(response))
    await store(address, answer, part, both, () => timer.refresh(), options)
    return answer.headers
  } catch (thrown) {
    throw explainRequestError(address, thrown, both)
  } finally {
    clearTimeout(timer)
  }
}

/** What `If-Range` may name: a strong tag, else the date; nothing where the bytes are packed on the way. */
function validatorFrom({ headers }: Response): string | undefined {
  if (isPacked(headers)) return undefined
  const tag = headers.get('etag')
  if (tag !== null && /^"[\x21\x23-\x7e]*"$/.test(tag)) return tag
  return headers.get('last-modified') ?? undefined
}

function continues(response: Response, begun: number, validator: string): boolean {
  const [, first] = /^bytes (\d{1,16})-/.exec(response.headers.get('content-range') ?? '') ?? []
  return Number(first) === begun && validatorFrom(response) === validator
}

const isPacked = (headers: Headers): boolean =>
  !['identity', ''].includes(headers.get('content-encoding') ?? '')

/** The size of the whole file, where the server says it. */
function announced({ status, headers }: Response): number | undefined {
  if (isPacked(headers)) return undefined
  const text =
    status === 206
      ? /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1]
      : headers.get('content-length')
  return text !== undefined && text !== null && /^\d+$/.test(text) ? Number(text) : undefined
}

async function store(
  address: URL | string,
  { response }: Answer,
  part: Part,
  signal: AbortSignal,
  alive: () => void,
  { maximumBytes, onProgress }: DownloadOptions,
): Promise<void> {
  const where = showAddress(address)
  const totalBytes = announced(response)
  const tooLarge = (what: string) =>
    new UserError(
      `${where}: the file is too large: ${what}, where ${maximumBytes} is the most — check the address, or raise the limit`,
    )
  if (totalBytes !== undefined && totalBytes > maximumBytes) {
    await response.body?.cancel()
    throw tooLarge(`${totalBytes} bytes`)
  }
  let receivedBytes = partSize(part)
  const file = await opened(part)
  try {
    for await (const piece of response.body ?? []) {
      alive()
      // A body that has all its bytes in memory goes on after an abort.
      throwIfAborted(signal)
      if (receivedBytes + piece.length > maximumBytes) {
        await file.truncate(0)
        throw tooLarge(`more than ${maximumBytes} bytes`)
      }
      await write(file, piece, part)
      receivedBytes += piece.length
      onProgress?.({ address: where, receivedBytes, totalBytes })
    }
  } finally {
    await file.close()
  }
  if (totalBytes !== undefined && receivedBytes !== totalBytes)
    throw new RequestError(
      `${where}: the connection was cut: ${receivedBytes} of ${totalBytes} bytes came — try again later`,
      { mayPass: true },
    )
}

async function opened({ content }: Part): Promise<FileHandle> {
  try {
    return await open(content, 'a')
  } catch (thrown) {
    throw explainFileError(content, thrown)
  }
}

async function write(file: FileHandle, piece: Uint8Array, { content }: Part): Promise<void> {
  try {
    for (let done = 0; done < piece.length; )
      done += (await file.write(piece, done, piece.length - done)).bytesWritten
  } catch (thrown) {
    throw explainFileError(content, thrown)
  }
}

async function check(
  address: URL | string,
  part: Part,
  headers: readonly Headers[],
  { digest, signal }: DownloadOptions,
): Promise<void> {
  const expected = typeof digest === 'function' ? digest(headers) : digest
  if (!expected) return
  const where = showAddress(address)
  let found: string
  try {
    found = await digestOfFile(part.content, expected, signal)
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    found = 'damaged gzip'
  }
  if (found === expected.value.toLowerCase()) return
  restartPart(part, undefined)
  throw new UserError(
    `${where}: not the file that is expected: ${expected.algorithm} ${found} instead of ${expected.value} — try again later, or fetch the file by other means`,
  )
}
