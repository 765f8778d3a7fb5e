// The built program: in a process of its own for each command line, or in one for many, which saves loading it.
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { afterAll } from '@jest/globals'

/** The entry of the built program. */
export const program = resolve('dist/cli/main.js')

/** How a command ended. */
export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Where commands run: a folder, with a cache in it, and without a browser, which takes seconds to start. */
export const settingsOf = (folder: string) => ({
  cwd: folder,
  env: {
    ...process.env,
    CONDENSE_CACHE: join(folder, 'cache'),
    CONDENSE_BROWSER: join(folder, 'no-browser'),
    NO_COLOR: '1',
  },
})

/** Runs `condense` in a folder, in a process of its own. */
export function condenseAlone(folder: string, ...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    ...settingsOf(folder),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  return { status, stdout, stderr }
}

/** Runs `condense` in a folder, one command after the other in one process, which ends after the tests of the file. */
export function commandsIn(folder: string): (...args: string[]) => Promise<Ended> {
  let child: ChildProcess | undefined
  let owed = false
  afterAll(() => child?.disconnect())
  return async (...args) => {
    // What a command says whose test has timed out is nobody's answer.
    if (owed) child?.kill('SIGKILL')
    if (owed || !child?.connected)
      child = fork(resolve('test/cli/commands.js'), { ...settingsOf(folder), execArgv: [] })
    const asked = child
    owed = true
    try {
      return await new Promise<Ended>((answer, reject) => {
        asked.once('message', (ended) => answer(ended as Ended))
        asked.once('exit', (status) =>
          reject(new Error(`the process of the commands ended with ${status}: ${args.join(' ')}`)),
        )
        asked.send({ program, args })
      })
    } finally {
      asked.removeAllListeners('message').removeAllListeners('exit')
      if (asked === child) owed = false
    }
  }
}
