// The history: an SQLite file to which nights are only ever added.
import { existsSync, linkSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type Libsql from 'libsql'
import { messageOf, UserError } from '../../base/errors.ts'
import { explainFileError, makeWritable } from '../../base/files.ts'
import { sha256 } from '../../base/hash.ts'
import { ownName } from '../../base/owner.ts'
import { type KeptNight, type Night, nightSchema } from './night.ts'

/** The open history. */
export interface History {
  readonly path: string
  /** The nights of a suite, oldest first; a damaged one is a {@link UserError}. */
  nights(suite: string): KeptNight[]
  /** Adds a whole night, or nothing, and gives its number. */
  add(night: Night): number
  /** Says why the new levels of a night, that has not been accepted, are to be the baseline. */
  accept(night: number, reason: string, at: string): void
  close(): void
}

/** Marks the file as a history ("Cnht"), so that no other database is taken for one. */
const applicationId = 0x436e6874
const schemaVersion = 1
/** How long a writer waits for another, ms; a night is written in milliseconds. */
const patience = 60_000

const appendOnly = (table: string): string => `
  CREATE TRIGGER ${table}_not_updated BEFORE UPDATE ON ${table}
    BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
  CREATE TRIGGER ${table}_not_deleted BEFORE DELETE ON ${table}
    BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;`

// "INSERT OR REPLACE" deletes without asking the trigger for deletions, so what is there refuses to be inserted again.
const schema = `
  CREATE TABLE nights (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    suite TEXT NOT NULL,
    at TEXT NOT NULL,
    content TEXT NOT NULL,
    digest TEXT NOT NULL
  ) STRICT;
  CREATE INDEX nights_of_suite ON nights (suite, id);
  CREATE TABLE acceptances (
    night INTEGER PRIMARY KEY REFERENCES nights (id),
    reason TEXT NOT NULL,
    at TEXT NOT NULL
  ) STRICT;
  ${appendOnly('nights')}
  ${appendOnly('acceptances')}
  CREATE TRIGGER nights_not_replaced BEFORE INSERT ON nights
    WHEN EXISTS (SELECT 1 FROM nights WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
  CREATE TRIGGER acceptances_not_replaced BEFORE INSERT ON acceptances
    WHEN EXISTS (SELECT 1 FROM acceptances WHERE night = NEW.night)
    BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};`

/**
 * Opens a history, and makes an empty one where there is none.
 *
 * A damaged file, one of a later version and one that is no history are each a {@link UserError}; none is changed.
 */
export async function openHistory(path: string): Promise<History> {
  const Database = await loadDatabase()
  if (!existsSync(path)) create(Database, path)
  return opened(Database, path)
}

/** Opens a history that is there, undefined where there is none. */
export async function openExistingHistory(path: string): Promise<History | undefined> {
  return existsSync(path) ? opened(await loadDatabase(), path) : undefined
}

type DatabaseConstructor = typeof Libsql

async function loadDatabase(): Promise<DatabaseConstructor> {
  try {
    return (await import('libsql')).default
  } catch (thrown) {
    throw new UserError(
      `condense nightly: the database libsql cannot be loaded on ${process.platform}-${process.arch}: ${firstLine(thrown)} — install with optional dependencies, on a platform that it is built for`,
      { cause: thrown },
    )
  }
}

/** Makes the file under another name, so that whoever sees it sees it whole; of two makers the first one wins. */
function create(Database: DatabaseConstructor, path: string): void {
  makeWritable(dirname(path))
  const temporary = ownName(path)
  try {
    const database = new Database(temporary)
    database.exec(`BEGIN; ${schema} COMMIT;`)
    database.close()
    place(temporary, path)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** Gives a file its name unless that is taken; some file systems have no links. */
function place(temporary: string, path: string): void {
  try {
    linkSync(temporary, path)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return
    if (!existsSync(path)) renameSync(temporary, path)
  }
}

function opened(Database: DatabaseConstructor, path: string): History {
  const database = guarded(path, () => {
    // An empty file would be taken for a new database.
    if (statSync(path).isFile() && statSync(path).size === 0) throw new Error('the file is empty')
    const connection = new Database(path, { timeout: patience })
    connection.exec('PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON')
    return connection
  })
  const inFile = <Result>(act: () => Result) => guarded(path, act)
  const numberOf = (pragma: string) =>
    Object.values(database.prepare(`PRAGMA ${pragma}`).get() as Record<string, number>)[0]
  try {
    inFile(() => {
      if (numberOf('application_id') !== applicationId)
        throw new UserError(
          `${path}: not a history of Condense — name another folder in the suite, or move the file away`,
        )
      const version = numberOf('user_version') ?? 0
      if (version > schemaVersion)
        throw new UserError(
          `${path}: written by a later version of Condense: its format is ${version}, this one reads up to ${schemaVersion} — update Condense`,
        )
      const [found] = database.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[]
      if (found?.quick_check !== 'ok') throw new Error(found?.quick_check ?? 'it cannot be checked')
    })
  } catch (thrown) {
    database.close()
    throw thrown
  }
  return {
    path,
    nights: (suite) =>
      inFile(() => {
        const rows = database
          .prepare(
            'SELECT id, content, digest, reason FROM nights LEFT JOIN acceptances ON night = id WHERE suite = ? ORDER BY id',
          )
          .all(suite) as Row[]
        return rows.map((row) => nightIn(row))
      }),
    add: (night) =>
      inFile(() => {
        const content = JSON.stringify(nightSchema.parse(night))
        const { lastInsertRowid } = database
          .prepare('INSERT INTO nights (suite, at, content, digest) VALUES (?, ?, ?, ?)')
          .run(night.suite, night.at, content, sha256(content))
        return Number(lastInsertRowid)
      }),
    accept: (night, reason, at) =>
      inFile(() => {
        database
          .prepare('INSERT INTO acceptances (night, reason, at) VALUES (?, ?, ?)')
          .run(night, reason, at)
      }),
    close: () => database.close(),
  }
}

interface Row {
  readonly id: number
  readonly content: string
  readonly digest: string
  readonly reason: string | null
}

/** SQLite has no checksums of its own, so a flipped bit inside a text would go unnoticed. */
function nightIn({ id, content, digest, reason }: Row): KeptNight {
  if (sha256(content) !== digest) throw new Error(`night ${id} is not what was written`)
  const { success, data, error } = nightSchema.safeParse(JSON.parse(content))
  if (!success) throw new Error(`night ${id}: ${firstLine(error.issues[0])}`)
  return { ...data, id, ...(reason !== null && { accepted: reason }) }
}

/** Does something with the file; what shows that it is damaged becomes one line that says what to do. */
function guarded<Result>(path: string, act: () => Result): Result {
  try {
    return act()
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown
    const { code = '' } = thrown as { code?: string }
    if (code.startsWith('SQLITE_BUSY'))
      throw new UserError(
        `${path}: another process has held it for ${patience / 1000} s — wait for it, and run again`,
        { cause: thrown },
      )
    if (code.startsWith('SQLITE_FULL'))
      throw new UserError(`${path}: the disk is full — free some space and run again`, {
        cause: thrown,
      })
    if (/^SQLITE_(READONLY|PERM|CANTOPEN)|ConnectionFailed/.test(code || messageOf(thrown)))
      throw new UserError(`${path}: cannot be opened for writing — check the path and its rights`, {
        cause: thrown,
      })
    if (code.startsWith('SQLITE_CONSTRAINT')) throw thrown
    throw new UserError(
      `${path}: the history is damaged: ${firstLine(thrown)} — put a copy of it back, or move it away to begin a new one`,
      { cause: thrown },
    )
  }
}

const firstLine = (thrown: unknown): string =>
  (thrown instanceof Error
    ? thrown.message
    : String((thrown as { message?: string } | undefined)?.message ?? thrown)
  ).split('\n')[0]!
