// Addresses on the web: which ones are accepted, where a redirect may lead, and how messages show them.
import { UserError } from './errors.ts'

/** True for what is written as an address on the web and not as a path. */
export function isAddress(text: string): boolean {
  return /^https?:\/\//i.test(text)
}

/** Reads an http or https address; a {@link UserError} where it is none. */
export function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !isAddress(url.href))
    throw new UserError(
      `${showAddress(text)}: not an http or https address — check how it is written`,
    )
  return url
}

/**
 * The address as messages may show it, in one line of bounded length: without name and password, and without the
 * query, in which servers pass keys.
 */
export function showAddress(address: URL | string): string {
  const text = String(address)
  const plain = URL.canParse(text) ? withoutSecrets(new URL(text)) : text.replace(/\/\/.*@/, '//…@')
  const line = plain.replace(/[\p{Cc}\s]+/gu, ' ')
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}

function withoutSecrets(url: URL): string {
  const query = url.search === '' ? '' : '?…'
  return url.host === '' ? url.protocol : `${url.protocol}//${url.host}${url.pathname}${query}`
}

/**
 * Where a redirect leads; a {@link UserError} for what is not http or https, and for a step down from https to http.
 *
 * `location` is the header as the server at `from` sent it, relative or whole.
 */
export function redirected(from: URL, location: string | null): URL {
  const where = showAddress(from)
  if (location === null || !URL.canParse(location, from.href))
    throw new UserError(`${where}: the server redirects to no address — try again later`)
  const to = new URL(location, from)
  if (!isAddress(to.href))
    throw new UserError(
      `${where}: the server redirects to what is not on the web: '${to.protocol}' — check the address`,
    )
  if (from.protocol === 'https:' && to.protocol === 'http:')
    throw new UserError(
      `${where}: the server redirects from https to http: '${showAddress(to)}' — name an address that stays with https`,
    )
  return to
}
