// Run as a process of its own: goes through the rows of a data set (format, path, options) and prints how many there
// are and by how many bytes the process grew beyond what it took for the first hundred.
import { readFileSync } from 'node:fs'
import { readerOf } from '../../dist/data/readers/index.js'

const [format, path, options] = process.argv.slice(2)
const reader = readerOf(format)
const table = await reader.open({ path }, reader.options.parse(JSON.parse(options)), {
  log: () => undefined,
})
let rows = 0
let before = 0
for await (const _ of table.train.rows()) if (++rows === 100) before = peakBytes()
process.stdout.write(JSON.stringify({ rows, grownBytes: peakBytes() - before }))

/** Not maxRSS where there is a choice: on Linux a process inherits that from the one that started it. */
function peakBytes() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS
  return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}
