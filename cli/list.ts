// The steps of a run as lines that fit a terminal.
import { barLine } from './bar.ts'
import type { Row } from './board.ts'
import type { Colour } from './paint.ts'
import { inWords } from './speed.ts'

/** How much room there is. */
export interface Room {
  /** Columns that a line may take. */
  readonly columns: number
  /** Lines in all. */
  readonly lines: number
}

/** Sets a text apart. */
type Paint = (text: string, colour: Colour) => string

const plain: Paint = (text) => text

/** How the lines of a state begin, and what is set apart of them: the mark, or with `all` the whole line. */
const looks = {
  waiting: { mark: '·', colour: 'dim', all: true },
  running: { mark: '▸', colour: 'bold', all: false },
  done: { mark: '✓', colour: 'green', all: false },
  stopped: { mark: '✗', colour: 'red', all: false },
} as const satisfies Record<Row['state'], { mark: string; colour: Colour; all: boolean }>

/** The longest share of the columns that labels are filled up to, so that what follows stands in a column. */
const widestLabel = 1 / 3

/**
 * A line for each row, none longer than the room; where there are more rows than lines, those around the first one that
 * is not done, and how many there are before and after.
 */
export function listLines(rows: readonly Row[], { columns, lines }: Room, paint = plain): string[] {
  const widest = Math.max(0, ...rows.map(({ label }) => label.length)) + 2
  const labelWidth = widest <= columns * widestLabel ? widest : 0
  const [from, to] = shown(rows, lines)
  const note = (count: number, what: string) =>
    count > 0 && lines >= 3 ? [paint(cut(`… ${count} ${what}`, columns), 'dim')] : []
  return [
    ...note(from, 'before'),
    ...rows.slice(from, to).map((row) => rowLine(row, labelWidth, columns, paint)),
    ...note(rows.length - to, 'more'),
  ]
}

/** A text in so many columns; what is cut off ends in an ellipsis. */
export function cut(text: string, columns: number): string {
  const characters = [...text]
  return characters.length <= columns
    ? text
    : `${characters.slice(0, Math.max(0, columns - 1)).join('')}…`.slice(0, columns)
}

function rowLine(
  { label, state, done, parts }: Row,
  labelWidth: number,
  columns: number,
  paint: Paint,
): string {
  const { mark, colour, all } = looks[state]
  const begin = `${mark} ${label}`.padEnd(labelWidth)
  if (state === 'running')
    return barLine({ label: begin, done, parts }, columns, (text) => paint(text, colour))
  const line = cut(`${begin} ${inWords(parts)}`.trimEnd(), columns)
  return all ? paint(line, colour) : paint(line.slice(0, 1), colour) + line.slice(1)
}

/** Which rows are shown, from one and up to another: with the notes no more than so many lines. */
function shown(rows: readonly Row[], lines: number): readonly [from: number, to: number] {
  const count = rows.length
  if (count <= lines) return [0, count]
  const place = rows.findIndex(({ state }) => state !== 'done')
  const focus = place < 0 ? count - 1 : place
  if (lines < 3) return [focus, focus + 1]
  // Two lines say how many are left out; what was done last stands above the focus where there is room.
  const middle = lines - 2
  const from = Math.min(focus - (middle > 1 ? 1 : 0), count - middle)
  if (from <= 1) return [0, lines - 1]
  return from + middle >= count - 1 ? [count - lines + 1, count] : [from, from + middle]
}
