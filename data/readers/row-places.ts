// Where the rows of a part lie in its text files, for messages.

interface Run {
  readonly firstRow: number
  readonly file: number
  /** Line of a row less its number; the same for all rows of the run. */
  readonly offset: number
}

// A file whose rows all spread over several lines would make a run of each.
const maximumRuns = 1 << 16

/** Remembers files and lines of rows by the runs in which one row follows the other line by line. */
export class RowPlaces {
  readonly #paths: readonly string[]
  readonly #runs: Run[] = []
  #rows = 0

  constructor(paths: readonly string[]) {
    this.#paths = paths
  }

  /** Notes a row; rows come in their order, and again each time the part is gone through. */
  add(row: number, file: number, line: number): void {
    if (row !== this.#rows) return
    const last = this.#runs.at(-1)
    const offset = line - row
    if (last?.offset !== offset || last.file !== file) {
      if (this.#runs.length === maximumRuns) return
      this.#runs.push({ firstRow: row, file, offset })
    }
    this.#rows++
  }

  /** `data/train.csv: line 17`, for a row that was noted; rows are counted from 0. */
  whereOf(row: number): string {
    const run = this.#runs.findLast(({ firstRow }) => firstRow <= row)
    if (run === undefined || row >= this.#rows) return `${this.#paths[0]}: row ${row + 1}`
    return `${this.#paths[run.file]}: line ${row + run.offset}`
  }
}
