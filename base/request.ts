// One request on the web with Node's own fetch: redirects that are checked, errors that people understand.
import { parseAddress, redirected, showAddress } from './addresses.ts'
import { Interrupted, throwIfAborted, UserError } from './errors.ts'

const maximumRedirects = 10

/** What went wrong with a request, besides what the message says. */
interface Failure {
  /** The status of the answer, where there was one. */
  readonly status?: number
  /** True where the same request may work a moment later. */
  readonly mayPass?: boolean
  /** So many seconds the server asks to wait. */
  readonly retryAfterSeconds?: number
  readonly cause?: unknown
}

/** A request that was not answered, or was answered with an error. */
export class RequestError extends UserError {
  readonly status: number | undefined
  readonly mayPass: boolean
  readonly retryAfterSeconds: number | undefined
  constructor(message: string, { status, mayPass = false, retryAfterSeconds, cause }: Failure) {
    super(message, { cause })
    this.status = status
    this.mayPass = mayPass
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Options of {@link request}. */
export interface RequestOptions {
  /** Sent with the first request; `authorization` goes to no other server that a redirect leads to. */
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** Statuses other than 200 that are an answer and not an error. */
  readonly accept?: readonly number[]
}

/** An answer and the way to it. */
export interface Answer {
  readonly response: Response
  /** Headers of all answers, those of redirects first. */
  readonly headers: readonly Headers[]
}

/**
 * Asks for what is at an address; whoever calls reads the body, or cancels it.
 *
 * A name and password in the address are sent as basic authorization. Failures are {@link RequestError}s; an aborted
 * signal is {@link Interrupted}. A proxy is used as Node's environment says (`NODE_USE_ENV_PROXY`, which
 * Node 20 does not have, and `HTTPS_PROXY`).
 */
export async function request(
  address: URL | string,
  { headers = {}, signal, accept = [] }: RequestOptions = {},
): Promise<Answer> {
  const start = parseAddress(String(address))
  const sent = new Headers({ 'accept-encoding': 'identity', ...headers })
  let url = start
  const received: Headers[] = []
  for (let step = 0; step <= maximumRedirects; step++) {
    throwIfAborted(signal)
    // What one server is trusted with is not for another.
    if (url.origin !== start.origin) sent.delete('authorization')
    const response = await ask(url, sent, signal)
    received.push(response.headers)
    if (response.status === 200 || accept.includes(response.status))
      return { response, headers: received }
    await response.body?.cancel()
    if (![301, 302, 303, 307, 308].includes(response.status)) throw statusError(url, response)
    url = redirected(url, response.headers.get('location'))
  }
  throw new RequestError(
    `${showAddress(start)}: more than ${maximumRedirects} redirects — check the address`,
    {},
  )
}

async function ask(url: URL, headers: Headers, signal: AbortSignal | undefined): Promise<Response> {
  const bare = new URL(url)
  const all = new Headers(headers)
  if (url.username !== '' || url.password !== '') {
    const pair = `${decoded(url.username)}:${decoded(url.password)}`
    all.set('authorization', `Basic ${Buffer.from(pair).toString('base64')}`)
    bare.username = ''
    bare.password = ''
  }
  try {
    return await fetch(bare, { headers: all, redirect: 'manual', signal: signal ?? null })
  } catch (thrown) {
    throw explainRequestError(url, thrown, signal)
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A percent sign that stands for itself.
    return text
  }
}

function statusError(url: URL, { status, headers }: Response): RequestError {
  const where = showAddress(url)
  const isBusy = [408, 425, 429, 500, 502, 503, 504].includes(status)
  const [what, advice] = isBusy
    ? ['the server cannot answer now', 'try again later']
    : status === 401 || status === 403
      ? ['the server refuses access', 'check the address and what it takes to read it']
      : status === 404 || status === 410
        ? ['there is no such file', 'check the address']
        : ['the server sends no file', 'check the address']
  const retryAfter = headers.get('retry-after') ?? ''
  return new RequestError(`${where}: ${what}: status ${status} — ${advice}`, {
    status,
    mayPass: isBusy,
    ...(/^\d{1,4}$/.test(retryAfter) ? { retryAfterSeconds: Number(retryAfter) } : {}),
  })
}

const unreachable: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such server is known',
  EAI_AGAIN: 'the name of the server could not be looked up',
  ECONNREFUSED: 'the server refuses connections',
  EHOSTUNREACH: 'the server cannot be reached',
  ENETUNREACH: 'there is no network',
}

const passing = new Set([
  ...['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'UND_ERR_SOCKET', 'UND_ERR_CONNECT_TIMEOUT'],
  ...['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'],
])

/** What a failure of fetch, or of reading a body, means; what is not about the network is returned as it is. */
export function explainRequestError(
  url: URL | string,
  thrown: unknown,
  signal: AbortSignal | undefined,
): unknown {
  if (signal?.aborted) return signal.reason instanceof UserError ? signal.reason : new Interrupted()
  // How fetch says that there was no answer, or that a body broke off; the reason is the cause.
  const message = (thrown as Error | undefined)?.message
  if (message !== 'fetch failed' && message !== 'terminated') return thrown
  const cause = (thrown as Error).cause as NodeJS.ErrnoException | undefined
  const code = cause?.code ?? ''
  const where = showAddress(url)
  const known = unreachable[code]
  if (known)
    return new RequestError(`${where}: ${known} (${code}) — check the connection and the address`, {
      cause: thrown,
    })
  const mayPass = passing.has(code) || message === 'terminated'
  const what = mayPass ? 'the connection was cut' : 'the request failed'
  const detail = (code || cause?.message || message).replace(/[\p{Cc}\s]+/gu, ' ').slice(0, 200)
  return new RequestError(
    `${where}: ${what}: ${detail} — ${mayPass ? 'try again later' : 'check the address'}`,
    { mayPass, cause: thrown },
  )
}
