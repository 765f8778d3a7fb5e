// Run as a process of its own: loads the model named by the first argument and prints what that took, in bytes.
import { readFileSync } from 'node:fs'
import { loadModel } from '../../dist/onnx/load.js'

const model = await loadModel(process.argv[2])
let tensorBytes = 0
for (const { tensor } of model.graph.initializers) tensorBytes += tensor.bytes.length
process.stdout.write(JSON.stringify({ tensorBytes, peakBytes: peakKilobytes() * 1024 }))

/** Not maxRSS where there is a choice: on Linux a process inherits that from the one that started it. */
function peakKilobytes() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS
  return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
}
