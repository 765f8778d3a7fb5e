// Checks the report of a run of recipes/digits.yaml: node .ci/check-report.js <report.json>. It runs from dist.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkReport } from '../dist/benchmarks/report/report.js'

const expected = ['distill', 'prune', 'int8', 'float16']

/** What is wrong with a report, one line each. */
function problemsOf({ teacher, variants, recipe }, folder) {
  const problems = []
  const expect = (holds, problem) => holds || problems.push(problem)
  const providers = recipe?.benchmark?.providers ?? []
  expect(providers.includes('cpu'), 'the recipe does not measure cpu')
  for (const id of expected)
    expect(
      variants.some((variant) => variant.id === id),
      `there is no variant '${id}'`,
    )
  for (const { id, file, failed, accuracy, providers: cells, ...variant } of [
    teacher,
    ...variants,
  ]) {
    expect(failed === undefined, `${id}: failed: ${failed}`)
    expect(isFilled(join(folder, file)), `${id}: there is no file ${file}`)
    expect(accuracy !== null, `${id}: no accuracy was measured`)
    expect(id === teacher.id || variant.retention !== null, `${id}: no retention was measured`)
    expect(cells.cpu?.available, `${id}: cpu: not measured: ${cells.cpu?.reason}`)
    for (const provider of providers) {
      const cell = cells[provider]
      const holds = cell?.available ? cell.p50Ms > 0 && cell.p99Ms >= cell.p50Ms : cell?.reason
      expect(holds, `${id}: ${provider}: neither figures nor a reason`)
    }
  }
  for (const page of ['report.html', 'report.md'])
    expect(isFilled(join(folder, page)), `there is no ${page}, or it is empty`)
  return problems
}

const isFilled = (path) => existsSync(path) && statSync(path).size > 0

const [path, ...others] = process.argv.slice(2)
if (path === undefined || others.length > 0) {
  console.error('usage: node .ci/check-report.js <report.json>')
  process.exit(2)
}
const report = checkReport(JSON.parse(readFileSync(path, 'utf8')), path)
const problems = problemsOf(report, dirname(path))
if (problems.length > 0) {
  console.error(`${path}: ${problems.join('; ')}`)
  process.exit(1)
}
const cells = Object.entries(report.teacher.providers).map(
  ([provider, { available, p50Ms, reason }]) =>
    `${provider} ${available ? `${p50Ms.toFixed(3)} ms` : `(${reason})`}`,
)
console.log(
  `${path}: holds; teacher and ${report.variants.length} variants; teacher on ${cells.join(', ')}`,
)
