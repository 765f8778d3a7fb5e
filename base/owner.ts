// Names of temporary files and folders that tell which process they belong to, so that the next one can take over
// or remove what a killed process left.
import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

const host = hostname()
  .replace(/[^\w.]/g, '_')
  .slice(0, 60)

/** `<path>-<host>-<process>-<random>`: a name beside `path` that no other process uses. */
export function ownName(path: string): string {
  return `${path}-${host}-${process.pid}-${randomBytes(6).toString('hex')}`
}

/** Paths that {@link ownName} made of `path` in processes of this machine that are gone; the folder must exist. */
export function abandonedNames(path: string): string[] {
  const start = `${basename(path)}-`
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(start) && isAbandoned(name.slice(start.length)))
    .map((name) => join(dirname(path), name))
}

function isAbandoned(owner: string): boolean {
  const [, ownerHost, pid] = /^(.+)-(\d{1,10})-[0-9a-f]{12}$/.exec(owner) ?? []
  return ownerHost === host && !isAlive(Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}
