// The cosine transform of cepstral coefficients, with lifters.

/**
 * The first rows of the orthonormal DCT-II, `[coefficients, bins]` row-major:
 * row 0 is √(1 / N), row k is √(2 / N) cos(πk (n + ½) / N).
 */
export function cosineTransform(coefficients: number, bins: number): Float64Array {
  return Float64Array.from({ length: coefficients * bins }, (_, index) => {
    const [k, n] = [Math.floor(index / bins), index % bins]
    return Math.sqrt((k === 0 ? 1 : 2) / bins) * Math.cos((Math.PI * k * (n + 0.5)) / bins)
  })
}

/** 1 + L/2 sin(π(i + first) / L) for each coefficient; 1 where L is 0. Kaldi counts i from 0, librosa from 1. */
export function liftersOf(coefficients: number, lifter: number, first: 0 | 1): Float64Array {
  return Float64Array.from({ length: coefficients }, (_, i) =>
    lifter === 0 ? 1 : 1 + (lifter / 2) * Math.sin((Math.PI * (i + first)) / lifter),
  )
}
