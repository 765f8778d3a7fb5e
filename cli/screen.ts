// Lines at the bottom of a terminal that are written again and again, below others that stay.
import type { WriteStream } from 'node:tty'
import { stripVTControlCharacters } from 'node:util'

/** The bottom of a terminal. */
export interface Screen {
  /** Replaces the lines at the bottom, after what is to stay above them. */
  draw(lines: readonly string[], above?: readonly string[]): void
}

// ECMA-48, and DEC's private modes for cursor and wrapping.
const up = (lines: number): string => (lines > 0 ? `\u001b[${lines}A\r` : '\r')
const clearLine = '\u001b[K'
const clearBelow = '\u001b[J'
const [hideCursor, showCursor] = ['\u001b[?25l', '\u001b[?25h']
const [cutLines, wrapLines] = ['\u001b[?7l', '\u001b[?7h']

/**
 * Takes hold of the bottom of a terminal. The cursor waits below the lines and is hidden within a single write alone, so
 * that no way to end the process leaves it hidden.
 */
export function openScreen(stream: Pick<WriteStream, 'write' | 'columns'>): Screen {
  let before: readonly string[] = []
  return {
    draw(lines, above = []) {
      if (before.length + lines.length + above.length === 0) return
      // A terminal that has become narrower has broken the lines that were there into several.
      const columns = stream.columns || 80
      const height = before.reduce(
        (sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)),
        0,
      )
      const stays = above.length > 0 ? `${clearBelow}${above.map(oneLine).join('')}` : ''
      const list = lines.map((line) => `${line}${clearLine}\n`).join('')
      stream.write(
        `${hideCursor}${up(height)}${stays}${cutLines}${list}${wrapLines}${clearBelow}${showCursor}`,
      )
      before = lines
    },
  }
}

const oneLine = (line: string): string => `${line}\n`

const widthOf = (line: string): number => [...stripVTControlCharacters(line)].length
