// Triangular filters on the mel scale, as Kaldi and as librosa place them.

/** A filter's weights for neighbouring points of a spectrum; no weights where it falls between two points. */
export interface MelFilter {
  readonly first: number
  readonly weights: Float64Array
}

/** What both conventions are told; frequencies in Hz. */
export interface MelRange {
  readonly rate: number
  /** Points of the Fourier transform. */
  readonly points: number
  readonly bins: number
  readonly low: number
  readonly high: number
}

/** A scale of pitch: from Hz, and back. */
interface Scale {
  readonly from: (hertz: number) => number
  readonly to: (mel: number) => number
}

const linearTop = 1000
const linearStep = 200 / 3
const logarithmicStep = Math.log(6.4) / 27

/** Scales of pitch, one row each. */
const scales = {
  /** 1127 ln(1 + f / 700), of HTK and Kaldi (O'Shaughnessy 1987). */
  htk: {
    from: (hertz) => 1127 * Math.log(1 + hertz / 700),
    to: (mel) => 700 * (Math.exp(mel / 1127) - 1),
  },
  /** Linear up to 1 kHz, 27 steps for a factor of 6.4 above (Slaney, Auditory Toolbox, 1998). */
  slaney: {
    from: (hertz) =>
      hertz < linearTop
        ? hertz / linearStep
        : linearTop / linearStep + Math.log(hertz / linearTop) / logarithmicStep,
    to: (mel) => {
      const above = mel - linearTop / linearStep
      return above < 0 ? mel * linearStep : linearTop * Math.exp(above * logarithmicStep)
    },
  },
} satisfies Record<string, Scale>

/** A scale by name. */
export type MelScale = keyof typeof scales

/** The names of the scales. */
export const melScales = Object.keys(scales) as [MelScale, ...MelScale[]]

/** Kaldi's filters: triangles over mel, of height 1; the point at half the rate is not heard. */
export function kaldiFilters(range: MelRange): MelFilter[] {
  const { rate, points } = range
  const { from } = scales.htk
  const mels = Float64Array.from({ length: points / 2 }, (_, k) => from((k * rate) / points))
  return edges(scales.htk, range).map(([left, centre, right]) =>
    sparse(mels, (mel) =>
      Math.min((mel - left) / (centre - left), (right - mel) / (right - centre)),
    ),
  )
}

/** librosa's filters: triangles over Hz, of height 1 or (`slaney`) of equal areas, 2 / width high. */
export function librosaFilters(
  range: MelRange,
  scale: MelScale,
  norm: 'slaney' | 'none',
): MelFilter[] {
  const { rate, points } = range
  const { to } = scales[scale]
  const hertz = Float64Array.from(
    { length: Math.floor(points / 2) + 1 },
    (_, k) => (k * rate) / points,
  )
  return edges(scales[scale], range).map((mels) => {
    const [left, centre, right] = mels.map(to) as [number, number, number]
    const height = norm === 'slaney' ? 2 / (right - left) : 1
    return sparse(
      hertz,
      (f) => height * Math.min((f - left) / (centre - left), (right - f) / (right - centre)),
    )
  })
}

/** Left edge, centre and right edge of each filter: equally far apart on the scale. */
function edges(scale: Scale, { low, high, bins }: MelRange) {
  const first = scale.from(low)
  const step = (scale.from(high) - first) / (bins + 1)
  return Array.from(
    { length: bins },
    (_, bin) => [first + bin * step, first + (bin + 1) * step, first + (bin + 2) * step] as const,
  )
}

function sparse(points: Float64Array, weightOf: (point: number) => number): MelFilter {
  const weights = points.map((point) => Math.max(0, weightOf(point)))
  const first = weights.findIndex((weight) => weight > 0)
  if (first < 0) return { first: 0, weights: new Float64Array(0) }
  return { first, weights: weights.slice(first, weights.findLastIndex((weight) => weight > 0) + 1) }
}

/** What each filter hears of a spectrum, written from `at` on. */
export function applyFilters(
  filters: readonly MelFilter[],
  spectrum: Float64Array,
  into: Float64Array,
  at: number,
): void {
  for (const [bin, { first, weights }] of filters.entries()) {
    let sum = 0
    for (let index = 0; index < weights.length; index++)
      sum += weights[index]! * spectrum[first + index]!
    into[at + bin] = sum
  }
}
