// One line with a progress bar that fits the width of the terminal.
import type { Part } from './speed.ts'

const longestBar = 24
const shortestBar = 8

/** A line for a share of work done (0..1), in at most `width` columns; `paint` colours the label. */
export function barLine(
  { label, done, parts }: { label: string; done: number; parts: readonly Part[] },
  width: number,
  paint: (label: string) => string = (text) => text,
): string {
  const long = parts.map((part) => part.long).join('  ')
  const besides = label.length + 3
  // A terminal that is too narrow for words and a bar of some length gets abbreviations.
  const text =
    besides + shortestBar + long.length <= width ? long : parts.map((part) => part.short).join(' ')
  const room = Math.max(width - besides - text.length, shortestBar)
  const bar = Math.min(longestBar, room)
  const full = Math.round(Math.min(1, Math.max(0, done)) * bar)
  const line = `${label} ${'█'.repeat(full)}${'░'.repeat(bar - full)}  ${text}`.slice(0, width)
  return line.startsWith(label) ? paint(label) + line.slice(label.length) : line
}
