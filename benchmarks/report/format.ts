// How numbers are written in a report: with their unit, and with no more digits than they are good for.

const space = '\u202f' // narrow and unbreakable, between a number and its unit
const minus = '−'

/** A ratio as percent: `98.10 %`. */
export function formatPercent(ratio: number, digits = 2): string {
  return `${fixed(ratio * 100, digits)}${space}%`
}

/** The ends of an interval of ratios as percent: `97.4–98.6 %`. */
export function formatInterval([low, high]: readonly [number, number]): string {
  return `${fixed(low * 100, 1)}–${fixed(high * 100, 1)}${space}%`
}

/** A number of bytes in powers of 1000: `334.9 kB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  if (bytes < 1000) return `${bytes}${space}B`
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3))
  return `${threeDigits(bytes / 1000 ** power)}${space}${units[power]}`
}

/** A count in powers of 1000: `23.1 k`, `4.07 M`. */
export function formatCount(count: number): string {
  const units = ['', `${space}k`, `${space}M`, `${space}G`, `${space}T`]
  const power = count < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(count) / 3))
  return power === 0 ? String(count) : threeDigits(count / 1000 ** power) + units[power]
}

/** How many a second, with three digits: `9.16`, `35.4 k`. */
export function formatRate(rate: number): string {
  return rate < 1000 ? formatNumber(rate) : formatCount(rate)
}

/** A time in ms with three digits: `0.842 ms`, `1.25 s` from a second on. */
export function formatMs(ms: number): string {
  return ms >= 1000 ? `${threeDigits(ms / 1000)}${space}s` : `${threeDigits(ms)}${space}ms`
}

/** An energy in J with three digits: `12.4 mJ`. */
export function formatJoules(joules: number): string {
  const units = ['J', 'mJ', 'µJ', 'nJ']
  const power = Math.min(3, Math.max(0, -Math.floor(Math.log10(joules) / 3)))
  return `${threeDigits(joules * 1000 ** power)}${space}${units[power]}`
}

/** A difference of two ratios in percentage points: `1.20 points`. */
export function formatPoints(difference: number): string {
  return `${fixed(difference * 100, 2)} points`
}

/** A ratio to the teacher: `1/36` below a half, `83 %` below one, `1.3×` above; `–` without a reference. */
export function formatRatio(ratio: number): string {
  if (!Number.isFinite(ratio)) return '–'
  if (ratio >= 0.995) return ratio < 1.005 ? '1×' : `${twoDigits(ratio)}×`
  if (ratio >= 0.5 || ratio <= 0) return `${fixed(ratio * 100, 0)}${space}%`
  return `1/${twoDigits(1 / ratio)}`
}

/** A probability: `0.21`, `0.0031`, `< 0.0001`. */
export function formatProbability(p: number): string {
  if (p < 0.0001) return '< 0.0001'
  return p < 0.1 ? String(Number(p.toPrecision(2))) : p.toFixed(2)
}

/** p as it stands in a sentence: `p = 0.21`, `p < 0.0001`. */
export function writtenP(p: number): string {
  const text = formatProbability(p)
  return text.startsWith('<') ? `p ${text}` : `p = ${text}`
}

/** A plain number with three significant digits: `0.0123`. */
export function formatNumber(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  const text = size < 0.001 || size >= 1e6 ? size.toExponential(1) : threeDigits(size)
  return value < 0 ? minus + text : text
}

/** A number with so many decimals, and with a proper minus: `0.9121`. */
export function formatSigned(value: number, digits: number): string {
  if (Math.abs(value) >= 1e6) return formatNumber(value)
  return fixed(value, digits)
}

/** The text with a visible sign for control characters and for overrides of the direction, which fake a text. */
export function printable(text: string): string {
  return text.replace(/(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
}

const fixed = (value: number, digits: number): string => value.toFixed(digits).replace('-', minus)

const threeDigits = (value: number): string =>
  value >= 100 ? String(Number(value.toFixed(value >= 1000 ? 0 : 1))) : significant(value, 3)

const twoDigits = (value: number): string =>
  value >= 10 ? value.toFixed(0) : significant(value, 2)

// toPrecision keeps the zeros that say how exact a number is, but turns small ones into powers of ten.
const significant = (value: number, digits: number): string => {
  const text = value.toPrecision(digits)
  return text.includes('e') ? String(Number(text)) : text
}
