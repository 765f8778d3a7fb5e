// A run on a terminal: all of its steps stand at the bottom, messages scroll away above them.
import type { RunEvent } from '../pipeline/events.ts'
import { type Board, openBoard } from './board.ts'
import { formatDuration } from './duration.ts'
import { cut, listLines } from './list.ts'
import { paint } from './paint.ts'
import { openScreen } from './screen.ts'
import type { Terminal } from './terminal.ts'

/**
 * Shows runs on the terminal behind stderr. It is written to when an event comes or the window changes, and by no clock, so
 * that nothing is drawn while a model is timed.
 */
export function liveView(): Terminal {
  const { stderr } = process
  const screen = openScreen(stderr)
  let board = openBoard()
  let closed = false
  let title: { readonly text: string; readonly start: number } | undefined
  // The last column stays free: some terminals begin a new line when it is written.
  const columns = () => Math.max(1, (stderr.columns || 80) - 1)
  const draw = (above: readonly string[] = []) => {
    const heading = title ? [paint(cut(title.text, columns()), 'bold')] : []
    const lines = (stderr.rows || 24) - 1 - heading.length
    const list = listLines(board.rows(), { columns: columns(), lines }, paint)
    screen.draw([...heading, ...list], above.map(printable))
  }
  const redraw = () => draw()
  /** What stays of a run: one of many has a line, the only one all of its steps. */
  const finish = () => {
    board.end()
    const all = { columns: columns(), lines: Number.POSITIVE_INFINITY }
    const left = title ? [titleLine(title, board)] : listLines(board.rows(), all, paint)
    screen.draw([], left)
    board = openBoard()
    title = undefined
  }
  stderr.on('resize', redraw)
  return {
    listen(event) {
      if (event.event === 'run-start' && !title) finish()
      board.take(event)
      if (event.event === 'log') draw([messageOf(event)])
      else draw()
    },
    begin(text) {
      finish()
      title = { text, start: performance.now() }
      draw()
    },
    close() {
      if (closed) return
      closed = true
      finish()
      stderr.removeListener('resize', redraw)
    },
  }
}

const messageOf = ({ id, message }: Extract<RunEvent, { event: 'log' }>): string =>
  id ? `${id}: ${message}` : message

function titleLine(
  { text, start }: { readonly text: string; readonly start: number },
  board: Board,
): string {
  const mark = board.passed() ? paint('✓', 'green') : paint('✗', 'red')
  return `${mark} ${text}: ${formatDuration((performance.now() - start) / 1000)}`
}

/** Names inside files may hold what moves the cursor. */
const printable = (line: string): string => line.replace(/(?![\n\t])\p{Cc}/gu, '\ufffd')
