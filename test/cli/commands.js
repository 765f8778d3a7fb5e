// Runs one command line after another in this process, each as if it had one of its own: loading the program takes
// longer than most commands.
import { pathToFileURL } from 'node:url'

// Every run of the program listens to signals and to its output once more.
process.setMaxListeners(0)
process.stdout.setMaxListeners(0)

let count = 0
process.on('message', async ({ program, args }) => {
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'])
    process[name].write = (piece) => {
      written[name] += piece
      return true
    }
  process.argv = [process.execPath, program, ...args]
  process.exitCode = 0
  count++
  await import(`${pathToFileURL(program)}?${count}`)
  process.send({ status: process.exitCode, ...written })
  process.exitCode = 0
})
