// A report as a run of the digits recipe leaves it, with a provider that is absent and a cell that failed.

import { wilsonInterval } from '../../base/statistics.ts'
import type {
  Knowledge,
  LayerTable,
  ProviderResult,
  Report,
  Variant,
} from '../../benchmarks/report/report.ts'

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

/** A picture of two grey pixels. */
const picture =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAAAAADRSSBWAAAAC0lEQVR4nGP4zwAAAgEBAHGMGPkAAAAASUVORK5CYII='

const forgottenSamples: NonNullable<Report['samples']> = [
  {
    index: 17,
    actual: '8',
    teacher: { answer: '8', confidence: 0.98 },
    answers: [
      { variant: 'prune', answer: '3', confidence: 0.61 },
      { variant: 'quantize', answer: '3', confidence: 0.58 },
    ],
    image: { source: picture, width: 2, height: 1 },
  },
  {
    index: 404,
    actual: '4',
    teacher: { answer: '4', confidence: 0.91 },
    answers: [{ variant: 'prune', answer: null, confidence: null }],
    texts: ['four score and seven years ago'],
    sound: { seconds: 1.5, peaks: [0, 0.2, 1, 0.4], source: 'data:audio/wav;base64,UklGRg==' },
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
      condense: '0.1.0',
      system: 'Linux 6.1.0, x64',
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
    samples: forgottenSamples,
    pareto: ['quantize', 'float16', 'teacher'],
    gates: [
      { name: 'retention', variant: 'quantize', limit: '>= 0.98', value: 0.98887, passed: true },
      { name: 'size', variant: 'quantize', limit: '<= 0.033', value: 0.02775, passed: true },
      { name: 'latency.cpu', variant: 'quantize', limit: '<= 0.15', value: 0.15898, passed: false },
    ],
    advice: ["'distill' is not better than 'plain', the same student without a teacher"],
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
    advice: [evil],
    classes: digits.map((digit) => (digit === '3' ? evil : digit)),
    host: { ...report.host, cpu: evil, system: evil, condense: evil, flags: [evil] },
    data: { ...report.data, source: evil, fingerprint: evil },
    recipe: { ...report.recipe, name: evil, note: '```\n</code></pre><script>alert(3)</script>' },
    samples: forgottenSamples.map((sample) => ({
      ...sample,
      actual: evil,
      texts: [evil],
      answers: sample.answers.map((answer) => ({
        ...answer,
        variant: rename(answer.variant),
        answer: evil,
      })),
    })),
    variants: report.variants.map((variant) => ({
      ...variant,
      id: rename(variant.id),
      label: evil,
      stage: evil,
      ...(variant.id === 'prune' && { failed: evil }),
      ...(variant.retention && {
        retention: {
          ...variant.retention,
          perClass: { [evil]: 0.9, constructor: 1 },
          measures: { [evil]: 0.5, __proto__: 1 },
        },
      }),
      ...(variant.accuracy && {
        accuracy: {
          ...variant.accuracy,
          metrics: { [evil]: 0.5, [`mae.${evil}`]: 1, constructor: 2 },
          classMetrics: { [evil]: { [evil]: 0.5, constructor: 1 } },
        },
      }),
      ...(variant.layers && {
        layers: {
          ...variant.layers,
          provider: evil,
          rows: variant.layers.rows.map((row) => ({
            ...row,
            name: evil,
            operator: evil,
            layers: row.share > 0.3 ? [] : [evil, evil],
            ran: evil,
          })),
        },
      }),
      ...(variant.knowledge && {
        knowledge: {
          ...variant.knowledge,
          transfer: {
            ...variant.knowledge.transfer!,
            perClass: { [evil]: { right: 0.9, rightOf: 9, wrong: null, wrongOf: 0 } },
          },
          representation: [{ what: evil, cka: 0.5 }, ...variant.knowledge.representation!],
          robustness: {
            ...variant.knowledge.robustness,
            [evil]: variant.knowledge.robustness.noise!,
          },
          reasons: { [evil]: evil, constructor: evil },
        },
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
    brotliBytes: Math.round(outline.gzipBytes * 0.97),
    bytesMoved: outline.sizeBytes * 3,
    accuracy: {
      metric: 'top1',
      value: outline.correct / test,
      interval: wilsonInterval(outline.correct, test),
      metrics: {
        top1: outline.correct / test,
        top5: 0.9995,
        'f1-macro': outline.correct / test - 0.0004,
        auc: 0.99987,
      },
      perClass: classesOf(outline, 0.9885),
      classMetrics: { precision: classesOf(outline, 0.987), f1: classesOf(outline, 0.9877) },
      top1: outline.correct / test,
      top1Interval: wilsonInterval(outline.correct, test),
    },
    retention: {
      accuracy: outline.correct / teacher!.correct,
      agreement: outline.agreement,
      klDivergence: outline.klDivergence,
      perClass: classesOf(outline, 1),
      p: outline.mcnemarP,
      mcnemarP: outline.mcnemarP,
      measures: {},
    },
    calibrationError: 0.0071,
    knowledge: knowledgeOf(outline),
    layers: layersOf(outline),
    ...(!isTeacher && {
      forgotten: {
        count: Math.round(1977 * (1 - outline.agreement)),
        of: 1977,
        confusions: [
          { actual: '8', answer: '3', count: 9, teacher: 2 },
          { actual: '7', answer: '1', count: 1, teacher: 4 },
        ],
      },
    }),
    ...(epochs !== undefined && { training: { epochs: courseOf(epochs, outline.correct / test) } }),
    providers: {
      cpu: inDetail(timedOn(outline.cpuMs, isTeacher ? undefined : teacher!.cpuMs, 17)),
      wasm:
        typeof outline.wasmMs === 'string'
          ? { available: false, reason: outline.wasmMs }
          : timedOn(outline.wasmMs, isTeacher ? undefined : Number(teacher!.wasmMs), 19),
      webgpu: { available: false, reason: noGpu },
    },
  }
}

/** Two layers, and what is left of the run. */
function layersOf({ id, macs, sizeBytes, cpuMs }: Outline): LayerTable {
  const rounded = id === 'quantize'
  const row = (name: string, share: number, part: number): LayerTable['rows'][number] => ({
    name: `${name}_nchwc`,
    operator: rounded ? 'QLinearConv' : 'Conv',
    layers: [name, `${name}/bias`, `${name}/relu`, `${name}/clip`],
    ran: 'CPUExecutionProvider',
    outputShape: [1, 16, 8, 8],
    weightBytes: Math.round(sizeBytes * part),
    parameters: Math.round((sizeBytes * part) / (rounded ? 1 : 4)),
    macs: Math.round(macs * part),
    bits: rounded ? 8 : 32,
    sparsity: id === 'prune' ? 0.25 : 0,
    share,
    ms: cpuMs * share,
    spreadMs: [cpuMs * share * 0.95, cpuMs * share * 1.1],
    sqnrDb: id === 'teacher' ? null : rounded ? 31.4 : 'exact',
    against: id === 'teacher' ? null : `${name}_output`,
  })
  return {
    ...{ provider: 'cpu', threads: 1, batch: 1, runs: 42, totalMs: cpuMs },
    ...{ clock: 'processor', random: false, copying: 0, overhead: 0.2 },
    rows: [row('conv1', 0.5, 0.4), row('conv2', 0.2, 0.3)],
    others: { count: 5, weightBytes: 1200, macs: 640, share: 0.1 },
  }
}

/** What a variant keeps; one that is quantized has no gradients. */
function knowledgeOf({ id, agreement, klDivergence, perClass }: Outline): Knowledge {
  const rounded = id === 'quantize'
  const integers = 'it is quantized: no gradient passes through integers'
  const bearings = (worst: number) =>
    [0.1, 0.2, 0.4].map((strength, index) => {
      const value = agreement - worst * index
      const ratio = value / (0.98 - 0.12 * index)
      const interval = [ratio - 0.02, ratio + 0.02] as const
      return { strength, value, agreement: value - 0.01, ratio, interval }
    })
  const right = Math.min(1, agreement + 0.002)
  return {
    samples: 256,
    transfer: {
      right: { value: right, interval: wilsonInterval(Math.round(right * 1977), 1977), of: 1977 },
      wrong: { value: 5 / 23, interval: wilsonInterval(5, 23), of: 23 },
      perClass: Object.fromEntries(
        digits.map((digit, index) => [
          digit,
          { right: Math.min(1, perClass[index]!), rightOf: 197, wrong: 0.5, wrongOf: 2 },
        ]),
      ),
    },
    calibration: {
      brier: 0.02 + klDivergence / 4,
      bins: Array.from({ length: 15 }, (_, bin) =>
        bin < 6
          ? { count: 0, confidence: null, accuracy: null }
          : { count: 8 * bin, confidence: (bin + 0.5) / 15, accuracy: Math.min(1, (bin + 1) / 14) },
      ),
    },
    representation: [
      { what: 'features', cka: 1 - klDivergence * 3 },
      { what: 'outputs', cka: 1 - klDivergence },
    ],
    robustness: {
      noise: bearings(0.01),
      blur: bearings(0.02),
      contrast: bearings(0.1),
      adversarial: rounded ? null : bearings(0.2),
      transferred: bearings(0.07),
    },
    saliency: rounded ? null : { cosine: 1 - klDivergence * 9, overlap: 0.41 },
    reasons: rounded ? { adversarial: integers, saliency: integers } : {},
  }
}

/** A figure of each class, in proportion to what the teacher has. */
const classesOf = ({ perClass }: Outline, scale: number): Record<string, number> =>
  Object.fromEntries(digits.map((digit, index) => [digit, Math.min(1, scale * perClass[index]!)]))

/** The fixture as it was written when there was nothing but classification. */
export function oldReport(): Report {
  const old = (variant: Variant): Variant => {
    const { top1, top1Interval, perClass } = variant.accuracy!
    const { p: _p, measures: _measures, ...retention } = variant.retention!
    const { knowledge: _knowledge, layers: _layers, forgotten: _forgotten, ...known } = variant
    const { brotliBytes: _brotli, bytesMoved: _moved, ...rest } = known
    return { ...rest, accuracy: { top1, top1Interval, perClass }, retention }
  }
  const { teacher, variants, samples: _samples, host, ...report } = reportFixture()
  const { condense: _condense, system: _system, ...machine } = host
  return { ...report, host: machine, teacher: old(teacher), variants: variants.map(old) }
}

/** What one variant is in a report of another task. */
type Judged = Pick<Variant, 'accuracy' | 'retention'> & {
  /** What the epochs of a training came to, before they came to the main figure itself. */
  readonly start: number
}

/** What is known of a model of a task without classes, on tokens. */
const withoutClasses: Knowledge = {
  samples: 256,
  transfer: null,
  calibration: null,
  representation: [
    { what: 'features', cka: 0.93 },
    { what: 'outputs', cka: 0.981 },
  ],
  robustness: { noise: null, blur: null, contrast: null, adversarial: null, transferred: null },
  saliency: null,
  reasons: {
    ...Object.fromEntries(
      ['noise', 'blur', 'contrast', 'adversarial', 'transferred'].map((name) => [
        name,
        'the data has no input of floats',
      ]),
    ),
    ...Object.fromEntries(
      ['transfer', 'calibration', 'saliency'].map((name) => [
        name,
        'the task has no single right class',
      ]),
    ),
  },
}

/** The fixture with another task: its figures, no classes. */
function reportOf(task: string, name: string, judge: (index: number) => Judged): Report {
  const { classes: _, samples: _samples, teacher, variants, gates, ...report } = reportFixture()
  const judged = ({ forgotten: _forgotten, ...variant }: Variant, index: number): Variant => {
    const { start, ...found } = judge(index)
    const { training } = variant
    const end = found.accuracy!.value!
    const epochs = training?.epochs.map((epoch, at, all) => ({
      ...epoch,
      trainAccuracy: null,
      validationAccuracy: end - (end - start) * 0.4 ** ((4 * at) / all.length),
    }))
    return {
      ...variant,
      ...found,
      calibrationError: null,
      knowledge: withoutClasses,
      ...(epochs && { training: { epochs } }),
    }
  }
  return {
    ...report,
    ...{ task, name },
    data: { ...report.data, source: name },
    teacher: judged(teacher, 0),
    variants: variants.map((variant, index) => judged(variant, index + 1)),
    gates: [
      ...gates,
      {
        name: 'accuracy',
        variant: 'quantize',
        limit: '>= 0.7',
        value: judge(3).accuracy!.value!,
        passed: true,
      },
    ],
  }
}

/** A regression with two outputs, one of them in large numbers, and a variant that is worse than the mean. */
export const regressionReport = (): Report =>
  reportOf('regression', 'housing', (index) => {
    const r2 = [0.8412, 0.8257, 0.7961, 0.7893, -0.0831][index]!
    return {
      start: -0.4,
      accuracy: {
        metric: 'r2',
        value: r2,
        interval: [r2 - 0.021, r2 + 0.017],
        metrics: {
          r2,
          mae: 12_840.5 * (1.8 - r2),
          rmse: 20_113.1 * (1.8 - r2),
          'max-error': 311_290,
          'r2.median house value': r2 + 0.02,
          'mae.median house value': 25_640 * (1.8 - r2),
          'rmse.median house value': 40_120 * (1.8 - r2),
          'r2.rooms': r2 - 0.02,
          'mae.rooms': 0.412,
          'rmse.rooms': 0.661,
        },
      },
      retention: {
        accuracy: Math.max(0, r2 / 0.8412),
        agreement: [1, 0.981, 0.952, 0.949, 0][index]!,
        klDivergence: null,
        perClass: {},
        p: [1, 0.31, 0.004, 0.002, 0.002][index]!,
        measures: { fidelity: [1, 0.981, 0.952, 0.949, -0.21][index]!, mae: 3101.2 * index },
      },
    }
  })

/** A recommender. */
export const rankingReport = (): Report =>
  reportOf('ranking', 'interactions', (index) => {
    const ndcg = [0.5127, 0.5033, 0.4871, 0.4868, 0.5029][index]!
    return {
      start: 0.1,
      accuracy: {
        metric: 'ndcg@10',
        value: ndcg,
        interval: [ndcg - 0.018, ndcg + 0.019],
        metrics: {
          'ndcg@10': ndcg,
          'hit-rate@1': ndcg - 0.2,
          'hit-rate@5': ndcg + 0.13,
          'hit-rate@10': ndcg + 0.24,
          mrr: ndcg - 0.06,
        },
      },
      retention: {
        accuracy: ndcg / 0.5127,
        agreement: [1, 0.93, 0.88, 0.87, 0.93][index]!,
        klDivergence: null,
        perClass: {},
        p: [1, 0.18, 0.004, 0.004, 0.17][index]!,
        measures: { 'same-first': 0.71, 'overlap@10': 0.84 },
      },
    }
  })

/** A model without labels, measured against its teacher alone. */
export const matchReport = (): Report =>
  reportOf('match', 'super-resolution', (index) => {
    const fidelity = [1, 0.9973, 0.9911, 0.9902, 0.99732][index]!
    return {
      start: 0.3,
      accuracy: {
        metric: 'fidelity',
        value: fidelity,
        interval: [fidelity - 0.0004 * index, fidelity + 0.0002 * Math.min(1, index)],
        metrics: {
          fidelity,
          cosine: 0.9991,
          psnr: [150, 36.41, 31.2, 30.9, 36.4][index]!,
          mae: 0.0071,
          'max-error': 0.213,
        },
      },
      retention: {
        accuracy: fidelity,
        agreement: fidelity,
        klDivergence: null,
        perClass: {},
        p: null,
        measures: { cosine: 0.9991 },
      },
    }
  })

function courseOf(epochs: number, reached: number) {
  return Array.from({ length: epochs }, (_, index) => ({
    epoch: index + 1,
    loss: (0.42 + 4 * (1 - reached)) * 0.6 ** index + 0.02 * epochs,
    trainAccuracy: reached + 0.006 - 0.09 * 0.5 ** index,
    validationAccuracy: reached - 0.07 * 0.55 ** index,
    seconds: 5.75 - 0.1 * index,
  }))
}

/** A result with all that can be measured of it: a counter of energy, a thousand runs, starts. */
function inDetail(result: ProviderResult): ProviderResult {
  const p50 = result.p50Ms!
  const more = { p999Ms: p50 * 2.4, meanMs: p50 * 1.05, deviationMs: p50 * 0.12 }
  const ratio = result.latencyRatio && { ...result.latencyRatio, rounds: 8 }
  return {
    ...result,
    ...more,
    times: Array.from({ length: 101 }, (_, at) => p50 * (0.9 + 0.002 * at + 3 * (at / 100) ** 40)),
    energyJoules: p50 * 0.011,
    coldStart: { starts: 5, sessionMs: p50 * 9, firstRunMs: p50 * 2, ...(ratio && { ratio }) },
    measurements: result.measurements!.map((one) => (one.batch === 1 ? { ...one, ...more } : one)),
  }
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
