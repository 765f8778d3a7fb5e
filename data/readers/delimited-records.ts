// Records of text with delimiters, as csv-parse finds them, and the lines where they end.
import { type CsvError, Parser, type Options as ParserOptions } from 'csv-parse'
import { UserError } from '../../base/errors.ts'
import type { DelimitedOptions } from './delimited-options.ts'
import { maximumLineBytes, textPieces } from './text-pieces.ts'

/** A record and what its file's columns are called. */
export interface TextRecord {
  readonly header: readonly string[]
  /** The cells, as many as the header names; absent, once, where the file is a header alone. */
  readonly record: readonly string[] | undefined
  /** Where the record ends, counted from 1. */
  readonly line: number
}

/** The records of a file; the header is not one of them. */
export async function* records(
  path: string,
  options: DelimitedOptions,
): AsyncGenerator<TextRecord> {
  let header = Array.isArray(options.header) ? options.header : undefined
  if (header) checkNames(path, header)
  let suffixes: (string | undefined)[] = []
  let isHeaderAlone = false
  const suffixesOf = (names: readonly string[]) => {
    const suffixByName = new Map(Object.entries(options.stripSuffix))
    return names.map((name) => suffixByName.get(name))
  }
  if (header) suffixes = suffixesOf(header)
  for await (const { record, line } of parsed(path, options)) {
    if (header === undefined) {
      header = options.header === true ? record : record.map((_, index) => `column${index + 1}`)
      checkNames(path, header)
      suffixes = suffixesOf(header)
      if (options.header === true) {
        isHeaderAlone = true
        continue
      }
    }
    isHeaderAlone = false
    if (record.length !== header.length)
      throw new UserError(
        `${path}: line ${line}: ${record.length} cells where there are ${header.length} columns — mend the line, or check delimiter and quote`,
      )
    for (let index = 0; index < suffixes.length; index++) {
      const suffix = suffixes[index]
      if (suffix !== undefined && record[index]!.endsWith(suffix))
        record[index] = record[index]!.slice(0, -suffix.length)
    }
    yield { header, record, line }
  }
  if (isHeaderAlone) yield { header: header!, record: undefined, line: 1 }
}

function checkNames(path: string, names: readonly string[]): void {
  const unnamed = names.indexOf('')
  if (unnamed >= 0)
    throw new UserError(
      `${path}: column ${unnamed + 1} has no name — name it, or give all names as header`,
    )
  const seen = new Set<string>()
  const twice = names.find((name) => seen.size === seen.add(name).size)
  if (twice !== undefined)
    throw new UserError(
      `${path}: two columns have the name '${twice}' — rename one, or give the names as header and set skipLines`,
    )
}

/** Feeds the parser piece by piece: what it makes of a piece is handed on before it sees the next. */
async function* parsed(
  path: string,
  options: DelimitedOptions,
): AsyncGenerator<{ record: string[]; line: number }> {
  let ready: { record: string[]; line: number }[] = []
  let last = 0
  let excess = 0
  let toSkip = options.skipLines
  const settings: ParserOptions = {
    delimiter: options.delimiter,
    quote: options.quote,
    escape: options.quote,
    trim: options.trim,
    comment: options.comment ?? null,
    comment_no_infix: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: maximumLineBytes,
    on_record: (record, { lines }) => {
      // The parser counts a line end of two characters inside quotes twice.
      if (lines > last + 1) excess += lineEndsInside(record)
      last = lines
      ready.push({ record, line: lines - excess + options.skipLines })
      return null
    },
  }
  const parser = new Parser(settings)
  // The callbacks below are told of errors, too; without a listener they would end the process.
  parser.on('error', () => undefined)
  try {
    for await (const whole of textPieces(path)) {
      let piece = whole
      for (; toSkip > 0 && piece.length > 0; toSkip--) {
        const end = piece.indexOf('\n')
        piece = piece.subarray(end < 0 ? piece.length : end + 1)
      }
      if (piece.length === 0) continue
      await called((done) => parser.write(piece, done), path, options)
      yield* taken()
    }
    await called((done) => parser.end(done), path, options)
    yield* taken()
  } finally {
    parser.destroy()
  }
  function taken() {
    const records = ready
    ready = []
    return records
  }
}

const lineEndsInside = (record: readonly string[]) =>
  record.reduce((sum, cell) => sum + cell.split('\r\n').length - 1, 0)

function called(
  start: (done: (error?: Error | null) => void) => void,
  path: string,
  options: DelimitedOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(explainParseError(path, options, error)) : resolve()))
  })
}

const explanations: ReadonlyMap<string, string> = new Map([
  ['CSV_QUOTE_NOT_CLOSED', 'a quote is opened and never closed'],
  ['CSV_INVALID_CLOSING_QUOTE', 'a quote is closed in the middle of a cell'],
  ['CSV_NON_TRIMABLE_CHAR_AFTER_CLOSING_QUOTE', 'a quote is closed in the middle of a cell'],
  ['INVALID_OPENING_QUOTE', 'a quote is opened in the middle of a cell'],
  ['CSV_MAX_RECORD_SIZE', `a record is longer than ${maximumLineBytes} characters`],
])

function explainParseError(path: string, { skipLines }: DelimitedOptions, error: Error): Error {
  const { code, lines = 0 } = error as Partial<CsvError> & { lines?: number }
  const explanation = explanations.get(code ?? '')
  if (explanation === undefined) return error
  return new UserError(
    `${path}: line ${lines + skipLines}: ${explanation} — mend it, or set quote: false where quotes are ordinary characters`,
    { cause: error },
  )
}
