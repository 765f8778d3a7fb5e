// `npm run bench [question …]`: answers questions about our own speed, with the machine that they were answered on.
import { UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import { describeHost } from '../host.ts'
import { quantilesOf } from '../statistics.ts'
import { benchmarking } from './benchmark.ts'
import { help } from './help.ts'
import { load } from './load.ts'
import { prune } from './prune.ts'
import { quantize } from './quantize.ts'
import type { Question } from './question.ts'
import { trainStep } from './train.ts'
import { trainGrowth } from './train-growth.ts'

const questions: Readonly<Record<string, Question>> = {
  ...{ benchmark: benchmarking, help, load, prune, quantize },
  train: trainStep,
  'train-growth': trainGrowth,
}

/** Answers the named questions, or all, on the standard output. */
async function main(names: readonly string[]): Promise<void> {
  const asked = names.length > 0 ? names : Object.keys(questions)
  for (const name of asked)
    if (!Object.hasOwn(questions, name))
      throw new UserError(
        `bench: no such question: '${name}' — ${suggest(name, Object.keys(questions))}`,
      )
  const { cpu, cores, node, onnxruntime } = await describeHost()
  console.log(`${cpu}, ${cores} cores, Node ${node}, ONNX Runtime ${onnxruntime}`)
  for (const name of asked) {
    const { summary, answer } = questions[name]!
    console.log(`\n${name}: ${summary}`)
    for await (const { what, unit, values } of await answer()) {
      const { p50, p90 } = quantilesOf(values)
      const numbers = `p50 ${p50.toPrecision(4)}  p90 ${p90.toPrecision(4)} ${unit}`
      console.log(`  ${what.padEnd(32)} ${numbers}  (n = ${values.length})`)
    }
  }
}

try {
  await main(process.argv.slice(2))
} catch (thrown) {
  if (!(thrown instanceof UserError)) throw thrown
  console.error(thrown.message)
  process.exitCode = 2
}
