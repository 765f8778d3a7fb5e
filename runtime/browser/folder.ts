// Where browsers keep their files, and how what they leave is removed: a process that is killed cannot do it itself.
import { mkdtempSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const prefix = 'condense-browser-'

/** Makes a folder for the browser of this process. */
export const makeBrowserFolder = (): string =>
  mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`))

/** Removes the folders of browsers whose process is no more, or of one that is known to be. */
export async function removeLeftFolders(ended?: number): Promise<void> {
  const left = readdirSync(tmpdir()).filter((name) => {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : 0
    return pid > 0 && (ended === undefined ? !isAlive(pid) : pid === ended)
  })
  await Promise.all(left.map((name) => removeFolder(join(tmpdir(), name))))
}

/** Removes a folder; a browser that is just ending may still write to it, so that it is tried for a second. */
export async function removeFolder(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 4 })
  } catch {
    // Somebody else's, or still in use: the next browser tries again.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}
