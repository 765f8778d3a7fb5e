// What is watched from night to night, one row a measure: how it is read off a report, and what its noise is like.
import { wilsonInterval } from '../../base/statistics.ts'
import {
  formatBytes,
  formatCount,
  formatMs,
  formatRatio,
  formatSigned,
} from '../../benchmarks/report/format.ts'
import { mainFigure } from '../../benchmarks/report/metrics.ts'
import type { ProviderResult, Report, Variant } from '../../benchmarks/report/report.ts'

/** A value, and how far off it may be by the night's own account. */
export interface Value {
  /** Of which provider it is, where there may be several. */
  readonly provider?: string | undefined
  readonly value: number
  /** Standard deviation within the night, in the unit of the value; absent where it is not known. */
  readonly deviation?: number | undefined
}

/** A measure. */
export interface Measure {
  readonly title: string
  readonly better: 'more' | 'less'
  /** Exact ones do not vary while nothing changes. */
  readonly noise: 'none' | 'nights'
  /** Which threshold says what is too small to matter; counts have none. */
  readonly tolerance: 'accuracy' | 'latency' | 'size' | 'none'
  /** Compared as ratios, where the noise grows with the value, or as differences. */
  readonly scale: 'ratio' | 'difference'
  /** Comparable on one machine with one ONNX Runtime only. */
  readonly ofMachine: boolean
  /** The deviation within a night bounds the noise, so that few nights suffice. */
  readonly known: boolean
  readonly format: (value: number) => string
  readonly read: (variant: Variant, report: Report) => readonly Value[]
}

const exact = {
  better: 'less',
  noise: 'none',
  tolerance: 'none',
  scale: 'ratio',
  ofMachine: false,
  known: true,
} as const
const timed = {
  better: 'less',
  noise: 'nights',
  tolerance: 'latency',
  scale: 'ratio',
  ofMachine: true,
  known: false,
} as const
const judged = {
  better: 'more',
  noise: 'nights',
  tolerance: 'accuracy',
  scale: 'difference',
  ofMachine: false,
  known: true,
  format: (value: number) => formatSigned(value, 4),
} as const

/** Quantiles of the normal distribution that enclose 95 % are so many standard deviations apart. */
const width95 = 2 * 1.959963984540054

const fromInterval = (value: number, [low, high]: readonly [number, number]): Value => ({
  value,
  deviation: Math.max(0, (high - low) / width95),
})

const one = (value: number | null | undefined): Value[] =>
  typeof value === 'number' ? [{ value }] : []

/** A value of each provider that really ran; the times of an emulated GPU mean nothing. */
const ofProviders =
  (read: (result: ProviderResult) => Value | undefined) =>
  ({ providers }: Variant): Value[] =>
    Object.entries(providers).flatMap(([provider, result]) => {
      const found = result.available && !result.software ? read(result) : undefined
      return found ? [{ ...found, provider }] : []
    })

const sum = (one: number | null | undefined, other: number | null | undefined) =>
  typeof one === 'number' && typeof other === 'number' ? { value: one + other } : undefined

/** All measures by name. */
export const measures = {
  accuracy: {
    ...judged,
    title: 'Accuracy',
    read({ accuracy }) {
      if (!accuracy) return []
      const { value, interval } = mainFigure(accuracy)
      return [fromInterval(value, interval)]
    },
  },
  agreement: {
    ...judged,
    title: 'Agreement with the teacher',
    read({ retention }, { data }) {
      if (!retention) return []
      const { agreement } = retention
      return [fromInterval(agreement, wilsonInterval(agreement * data.test, data.test))]
    },
  },
  latency: {
    ...timed,
    title: "Latency over the teacher's",
    format: formatRatio,
    read: ofProviders(({ latencyRatio: ratio }) =>
      ratio ? fromInterval(ratio.value, ratio.interval) : undefined,
    ),
  },
  'cold-start': {
    ...timed,
    title: "Cold start over the teacher's",
    format: formatRatio,
    read: ofProviders(({ coldStart }) => {
      const ratio = coldStart?.ratio
      return ratio ? fromInterval(ratio.value, ratio.interval) : undefined
    }),
  },
  time: {
    ...timed,
    title: 'Median latency',
    format: formatMs,
    read: ofProviders(({ p50Ms }) => (typeof p50Ms === 'number' ? { value: p50Ms } : undefined)),
  },
  memory: {
    ...timed,
    title: 'Peak memory',
    format: formatBytes,
    read: ofProviders(({ peakMemoryBytes: bytes }) => (bytes ? { value: bytes } : undefined)),
  },
  size: {
    ...exact,
    title: 'Size',
    tolerance: 'size',
    format: formatBytes,
    read: ({ sizeBytes }) => one(sizeBytes),
  },
  gzip: {
    ...exact,
    title: 'Size after gzip',
    tolerance: 'size',
    format: formatBytes,
    read: ({ gzipBytes }) => one(gzipBytes),
  },
  parameters: {
    ...exact,
    title: 'Parameters',
    format: formatCount,
    read: ({ parameters }) => one(parameters),
  },
  macs: {
    ...exact,
    title: 'Multiply-accumulates',
    format: formatCount,
    read: ({ macs }) => one(macs),
  },
  nodes: {
    ...exact,
    title: 'Nodes after optimization',
    ofMachine: true,
    format: formatCount,
    read: ofProviders(({ nodesOnProvider, nodesElsewhere }) =>
      sum(nodesOnProvider, nodesElsewhere),
    ),
  },
  fallbacks: {
    ...exact,
    title: 'Nodes that fell back',
    ofMachine: true,
    format: formatCount,
    read: ofProviders(({ nodesElsewhere }) => one(nodesElsewhere)[0]),
  },
} as const satisfies Readonly<Record<string, Measure>>

/** The name of a measure. */
export type MeasureName = keyof typeof measures

/** The names of all measures. */
export const measureNames = Object.keys(measures) as MeasureName[]

/** What is watched unless told: what is measured well enough to be judged, each thing once. */
export const usualMeasures = [
  'accuracy',
  'agreement',
  'latency',
  'size',
  'parameters',
  'macs',
  'nodes',
] as const satisfies readonly MeasureName[]

/** A row of the table; `name` is one of {@link measureNames}. */
export const measureOf = (name: MeasureName): Measure => measures[name]
