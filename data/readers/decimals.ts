// Numbers in decimal, as text spells them.

const numberPattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

/** The finite number that a cell spells in decimal; undefined for anything else. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim()
  if (!numberPattern.test(trimmed)) return undefined
  const value = Number(trimmed)
  return Number.isFinite(value) ? value : undefined
}

/**
 * Whether a text is a number for its own sake: whole numbers that a double cannot hold are names of
 * something, and rounding would make two of them one.
 */
export function looksNumeric(text: string): boolean {
  const value = parseNumber(text)
  if (value === undefined) return false
  return Number.isSafeInteger(value) || !/^\s*[+-]?\d+\s*$/.test(text)
}
