// A terminal as far as our lines use one: what would stand on it.

/** A terminal of so many columns that keeps what is written to it. */
export function screenOf(width: number, height: number) {
  let columns = width
  let lines: string[] = ['']
  let [row, column] = [0, 0]
  const modes = { cursor: true, wrap: true }
  const put = (character: string) => {
    if (column >= columns) {
      if (modes.wrap) [row, column] = [row + 1, 0]
      else column = columns - 1
    }
    const line = (lines[row] ?? '').padEnd(column)
    lines[row] = line.slice(0, column) + character + line.slice(column + 1)
    column++
  }
  const command = (name: string, number: string) => {
    if (name === 'A') row = Math.max(0, lines.length - height, row - Number(number || 1))
    else if (name === 'K') lines[row] = (lines[row] ?? '').slice(0, column)
    else if (name === 'J') lines = [...lines.slice(0, row), (lines[row] ?? '').slice(0, column)]
    else if (name === 'h' || name === 'l') modes[number === '25' ? 'cursor' : 'wrap'] = name === 'h'
  }
  return {
    get columns() {
      return columns
    },
    write(text: string): boolean {
      const pieces = RegExp(`${'\u001b'}\\[\\??(\\d*)([A-Za-z])|([^])`, 'gu')
      for (const [, number, name, character] of text.matchAll(pieces))
        if (name !== undefined) command(name, number ?? '')
        else if (character === '\r') column = 0
        else if (character === '\n') {
          row++
          column = 0
          lines[row] ??= ''
        } else put(character!)
      return true
    },
    /** Makes it narrower: lines that are too long are broken, and the cursor stays below them. */
    resize(narrower: number): void {
      const broken = (line: string) => line.match(RegExp(`.{1,${narrower}}`, 'g')) ?? ['']
      const after = lines.slice(row)
      lines = [...lines.slice(0, row).flatMap(broken)]
      row = lines.length
      lines.push(...after)
      columns = narrower
    },
    /** The lines that are not empty at the end. */
    text: (): string[] => lines.slice(0, lines.findLastIndex((line) => line !== '') + 1),
    modes: () => modes,
  }
}
