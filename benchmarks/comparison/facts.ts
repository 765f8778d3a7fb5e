// What runs were measured with, one row each: where they differ, figures may differ for that.
import { formatBytes } from '../report/format.ts'
import { counted } from '../report/judge.ts'
import { formatMetric, mainFigure, metricTitle } from '../report/metrics.ts'
import type { Report } from '../report/report.ts'
import type { ComparedRun } from './comparison.ts'

/** Something that a run was measured with. */
interface Fact {
  readonly title: string
  readonly of: (report: Report) => string
  /** What follows from it where runs differ in it; nothing is said where it is for the reader to judge. */
  readonly therefore?: string
}

const unknown = '–'

const facts: readonly Fact[] = [
  {
    title: 'Machine',
    of: ({ host }) =>
      `${host.cpu}, ${counted(host.cores, 'core')}, ${formatBytes(host.memoryBytes)}`,
    therefore: 'other machines: times say nothing about each other',
  },
  { title: 'System', of: ({ host }) => host.system ?? unknown },
  {
    title: 'ONNX Runtime',
    of: ({ host }) => host.onnxruntime,
    therefore: 'other versions of ONNX Runtime: its kernels may differ',
  },
  { title: 'Node', of: ({ host }) => host.node },
  { title: 'Condense', of: ({ host }) => host.condense ?? unknown },
  {
    title: 'Data',
    of: ({ data }) => data.source,
  },
  {
    title: 'Test samples',
    of: ({ data }) => `${data.test} of ${data.fingerprint.slice(0, 12)}`,
    therefore: 'other test samples: figures of how good models are are not compared',
  },
  {
    title: 'Task',
    of: ({ task = 'classification' }) => task,
    therefore: 'other tasks: figures of how good models are are not compared',
  },
  { title: 'Seed', of: ({ seed }) => String(seed) },
  {
    title: 'Teacher',
    of: ({ teacher }) => {
      const main = teacher.accuracy && mainFigure(teacher.accuracy)
      const figure = main
        ? `${metricTitle(main.metric)} ${formatMetric(main.metric, main.value)}, `
        : ''
      return `${figure}${formatBytes(teacher.sizeBytes)}`
    },
    therefore: 'other teachers: retention and relative latency are over each run’s own',
  },
  { title: 'Measured', of: ({ createdAt }) => createdAt.slice(0, 16).replace('T', ' ') },
]

/** A fact of every run, in their order. */
export interface ComparedFact {
  readonly title: string
  readonly values: readonly string[]
  readonly differs: boolean
}

/** What the runs were measured with. */
export const comparedFacts = (runs: readonly ComparedRun[]): ComparedFact[] =>
  facts.map(({ title, of }) => {
    const values = runs.map(({ report }) => of(report))
    return { title, values, differs: new Set(values).size > 1 }
  })

/** What follows from how the runs differ, a line each. */
export const caveats = (runs: readonly ComparedRun[]): string[] =>
  facts.flatMap(({ of, therefore }) =>
    therefore !== undefined && new Set(runs.map(({ report }) => of(report))).size > 1
      ? [therefore]
      : [],
  )
