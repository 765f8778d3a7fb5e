// Ternary and binary weights: -α, 0 and α, or -α and α, with an α for each output channel.

/** What gives the weights of a channel their levels; the values that it returns have one magnitude, or are zero. */
type Levels = (values: Float32Array) => Float32Array

/**
 * Weights of magnitudes above Δ = 0.7 · mean |w| become ±α, α being the mean of those magnitudes, and others 0 (Li, Zhang
 * and Liu 2016, "Ternary weight networks", equations 5 and 6).
 */
export const ternary: Levels = (values) => {
  const threshold = 0.7 * meanMagnitude(values, 0)
  const scale = Math.fround(meanMagnitude(values, threshold))
  return values.map((value) => (Math.abs(value) > threshold ? Math.sign(value) * scale : 0))
}

/**
 * All weights become ±α, α being the mean of their magnitudes (Rastegari et al. 2016, "XNOR-Net", equation 6); zero is
 * taken for positive.
 */
export const binary: Levels = (values) => {
  const sum = values.reduce((total, value) => total + Math.abs(value), 0)
  const scale = Math.fround(sum / values.length)
  return values.map((value) => (value < 0 ? -scale : scale))
}

/** The mean of the magnitudes above a threshold; with the threshold 0, of all. */
function meanMagnitude(values: Float32Array, threshold: number): number {
  let [sum, count] = [0, 0]
  for (const value of values) {
    const size = Math.abs(value)
    if (size <= threshold && threshold > 0) continue
    sum += size
    count++
  }
  return count > 0 ? sum / count : 0
}
