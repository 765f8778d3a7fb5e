// A report as a run of the digits recipe leaves it, with a provider that is absent and a cell that failed.

import { wilsonInterval } from '../../base/statistics.ts'
import type { ProviderResult, Report, Variant } from '../../benchmarks/report/report.ts'

const test = 2000
const digits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']
const noGpu = 'no adapter: the machine has no Vulkan driver — install one, or leave webgpu out'

interface Outline {
  readonly id: string
  readonly stage: string
  readonly from: string | null
  readonly label?: string
  readonly correct: number
  readonly sizeBytes: number
  readonly gzipBytes: number
  readonly parameters: number
  readonly macs: number
  readonly cpuMs: number
  readonly wasmMs: number | string
  readonly agreement: number
  readonly klDivergence: number
  readonly mcnemarP: number
  readonly epochs?: number
  readonly perClass: readonly number[]
}

const outlines: readonly Outline[] = [
  {
    id: 'teacher',
    stage: 'train',
    from: null,
    correct: 1977,
    sizeBytes: 1_243_872,
    gzipBytes: 1_151_204,
    parameters: 307_946,
    macs: 30_482_432,
    cpuMs: 1.214,
    wasmMs: 3.87,
    agreement: 1,
    klDivergence: 0,
    mcnemarP: 1,
    epochs: 4,
    perClass: digits.map(() => 1),
  },
  {
    id: 'distill',
    stage: 'distill',
    from: 'teacher',
    label: 'LeNet 8–16',
    correct: 1969,
    sizeBytes: 94_311,
    gzipBytes: 86_102,
    parameters: 23_146,
    macs: 1_284_608,
    cpuMs: 0.212,
    wasmMs: 0.604,
    agreement: 0.9875,
    klDivergence: 0.0312,
    mcnemarP: 0.2153,
    epochs: 8,
    perClass: [1, 1, 0.9949, 1.005, 0.9898, 0.9944, 1, 0.9902, 0.9848, 0.995],
  },
  {
    id: 'prune',
    stage: 'prune',
    from: 'distill',
    correct: 1953,
    sizeBytes: 51_930,
    gzipBytes: 47_415,
    parameters: 12_638,
    macs: 642_304,
    cpuMs: 0.158,
    wasmMs: 0.391,
    agreement: 0.981,
    klDivergence: 0.0587,
    mcnemarP: 0.0031,
    epochs: 3,
    perClass: [0.995, 1, 0.9847, 0.995, 0.9745, 0.9889, 1, 0.9805, 0.9645, 0.985],
  },
  {
    id: 'quantize',
    stage: 'quantize',
    from: 'prune',
    label: 'int8 static',
    correct: 1955,
    sizeBytes: 34_512,
    gzipBytes: 19_871,
    parameters: 12_694,
    macs: 642_304,
    cpuMs: 0.193,
    wasmMs: 0.412,
    agreement: 0.981,
    klDivergence: 0.0601,
    mcnemarP: 0.0519,
    perClass: [0.995, 1, 0.9898, 0.995, 0.9745, 0.9889, 1, 0.9805, 0.9594, 0.985],
  },
  {
    id: 'float16',
    stage: 'quantize',
    from: 'distill',
    correct: 1969,
    sizeBytes: 49_120,
    gzipBytes: 45_377,
    parameters: 23_146,
    macs: 1_284_608,
    cpuMs: 0.348,
    wasmMs: 'the process ended with signal SIGABRT while it opened the model',
    agreement: 0.9875,
    klDivergence: 0.0313,
    mcnemarP: 0.2153,
    perClass: [1, 1, 0.9949, 1.005, 0.9898, 0.9944, 1, 0.9902, 0.9848, 0.995],
  },
]

const [teacher, ...variants] = outlines

/** A complete report of a teacher and four variants. */
export function reportFixture(): Report {
  return {
    version: 1,
    name: 'digits',
    createdAt: '2026-03-14T09:26:53.000Z',
    seed: 7,
    host: {
      cpu: 'AMD EPYC 7B13',
      cores: 2,
      memoryBytes: 8_241_561_600,
      node: '20.20.2',
      onnxruntime: '1.30.0',
      flags: ['avx2', 'fma'],
    },
    data: {
      source: 'digits',
      train: 7200,
      validation: 800,
      calibration: 512,
      test,
      fingerprint: '5f1e9d0c7a3b2486b1d4c3a2f0e9d8c7b6a5948372615040f1e2d3c4b5a69788',
    },
    classes: digits,
    recipe: {
      name: 'digits',
      seed: 7,
      data: { source: 'digits' },
      teacher: {
        model: { architecture: 'resnet', depth: 8, width: 32 },
        train: { epochs: 4, optimizer: { name: 'adamw', rate: 2e-3 }, schedule: 'cosine' },
      },
      stages: [
        { stage: 'distill', student: { architecture: 'lenet', channels: [8, 16] }, epochs: 8 },
        { stage: 'prune', structure: 'channels', criterion: 'taylor', target: { macs: 0.5 } },
        { stage: 'quantize', scheme: 'static', calibration: { method: 'entropy', samples: 512 } },
        { stage: 'quantize', id: 'float16', from: 'distill', scheme: 'float16' },
      ],
      benchmark: {
        providers: ['cpu', 'wasm', 'webgpu'],
        gates: { variant: 'quantize', retention: '>= 0.99', size: '<= 0.033' },
      },
    },
    teacher: variantOf(teacher!),
    variants: variants.map(variantOf),
    pareto: ['quantize', 'float16', 'teacher'],
    gates: [
      { name: 'retention', variant: 'quantize', limit: '>= 0.98', value: 0.98887, passed: true },
      { name: 'size', variant: 'quantize', limit: '<= 0.033', value: 0.02775, passed: true },
      { name: 'latency.cpu', variant: 'quantize', limit: '<= 0.15', value: 0.15898, passed: false },
    ],
  }
}

/** The fixture with a name, ids and reasons that try to break out of every format. */
export function hostileReport(): Report {
  const evil = `</title><script>alert(1)</script><img src=x onerror="alert(2)">|'"\`*_@octocat \u202e`
  const report = reportFixture()
  const rename = (id: string) => (id === 'quantize' ? evil : id)
  return {
    ...report,
    name: evil,
    classes: digits.map((digit) => (digit === '3' ? evil : digit)),
    host: { ...report.host, cpu: evil, flags: [evil] },
    data: { ...report.data, source: evil, fingerprint: evil },
    recipe: { ...report.recipe, name: evil, note: '```\n</code></pre><script>alert(3)</script>' },
    variants: report.variants.map((variant) => ({
      ...variant,
      id: rename(variant.id),
      label: evil,
      stage: evil,
      ...(variant.id === 'prune' && { failed: evil }),
      ...(variant.retention && {
        retention: { ...variant.retention, perClass: { [evil]: 0.9, constructor: 1 } },
      }),
      providers: { ...variant.providers, [evil]: { available: false, reason: evil } },
    })),
    pareto: report.pareto.map(rename),
    gates: report.gates.map((gate) => ({
      ...gate,
      name: evil,
      limit: evil,
      variant: rename(gate.variant),
    })),
  }
}

function variantOf(outline: Outline): Variant {
  const isTeacher = outline.from === null
  const { epochs } = outline
  return {
    id: outline.id,
    ...(outline.label !== undefined && { label: outline.label }),
    stage: outline.stage,
    from: outline.from,
    file: `variants/${outline.id}/model.onnx`,
    sizeBytes: outline.sizeBytes,
    gzipBytes: outline.gzipBytes,
    parameters: outline.parameters,
    nonzeroParameters: outline.parameters - 12,
    macs: outline.macs,
    accuracy: {
      top1: outline.correct / test,
      top1Interval: wilsonInterval(outline.correct, test),
      perClass: Object.fromEntries(
        digits.map((digit, index) => [digit, 0.9885 * outline.perClass[index]!]),
      ),
    },
    retention: {
      accuracy: outline.correct / teacher!.correct,
      agreement: outline.agreement,
      klDivergence: outline.klDivergence,
      perClass: Object.fromEntries(digits.map((digit, index) => [digit, outline.perClass[index]!])),
      mcnemarP: outline.mcnemarP,
    },
    calibrationError: 0.0071,
    ...(epochs !== undefined && { training: { epochs: courseOf(epochs, outline.correct / test) } }),
    providers: {
      cpu: timedOn(outline.cpuMs, isTeacher ? undefined : teacher!.cpuMs, 17),
      wasm:
        typeof outline.wasmMs === 'string'
          ? { available: false, reason: outline.wasmMs }
          : timedOn(outline.wasmMs, isTeacher ? undefined : Number(teacher!.wasmMs), 19),
      webgpu: { available: false, reason: noGpu },
    },
  }
}

function courseOf(epochs: number, reached: number) {
  return Array.from({ length: epochs }, (_, index) => ({
    epoch: index + 1,
    loss: (0.42 + 4 * (1 - reached)) * 0.6 ** index + 0.02 * epochs,
    trainAccuracy: reached + 0.006 - 0.09 * 0.5 ** index,
    validationAccuracy: reached - 0.07 * 0.55 ** index,
    seconds: 5.75 - 0.1 * index,
  }))
}

function timedOn(p50Ms: number, teacherMs: number | undefined, nodes: number): ProviderResult {
  const at = (scale: number, batch: number, threads: number) => ({
    batch,
    threads,
    runs: 300,
    p50Ms: p50Ms * scale,
    p90Ms: p50Ms * scale * 1.08,
    p99Ms: p50Ms * scale * 1.31,
    throughput: (1000 * batch) / (p50Ms * scale),
  })
  const ratio = teacherMs === undefined ? undefined : p50Ms / teacherMs
  const { batch: _batch, threads: _threads, runs: _runs, ...headline } = at(1, 1, 1)
  return {
    available: true,
    agreementWithCpu: nodes === 19 ? 0.9995 : 1,
    nodesOnProvider: nodes,
    nodesElsewhere: 0,
    peakMemoryBytes: 92_340_224,
    ...headline,
    ...(ratio !== undefined && {
      latencyRatio: { value: ratio, interval: [ratio * 0.98, ratio * 1.02] as const },
    }),
    measurements: [at(1, 1, 1), at(0.62, 1, 2), at(21.4, 32, 2)],
  }
}
