// How long `condense --help` takes: heavy modules must be imported when they are used, not before.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Question, timeOf } from './question.ts'

const run = promisify(execFile)

/** Start-up time of the command line, beside that of Node itself. */
export const help: Question = {
  summary: 'start-up of condense --help',
  async answer() {
    const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url))
    const values: number[] = []
    const node: number[] = []
    for (let round = 0; round < 10; round++) {
      values.push(await timeOf(() => run(process.execPath, [main, '--help'])))
      node.push(await timeOf(() => run(process.execPath, ['-e', ''])))
    }
    return [
      { what: 'condense --help', unit: 'ms', values },
      { what: 'node -e ""', unit: 'ms', values: node },
    ]
  },
}
