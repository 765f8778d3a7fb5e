// Window functions, one row each.

type Curve = (phase: number) => number

const hann: Curve = (phase) => 0.5 - 0.5 * Math.cos(phase)

/** Value of a window where its period's phase is 0..2π. */
const curves = {
  /** 0.5 - 0.5 cos φ. */
  hann,
  /** 0.54 - 0.46 cos φ. */
  hamming: (phase) => 0.54 - 0.46 * Math.cos(phase),
  /** Hann's to the power of 0.85: like Hamming's, but 0 at the edges (Povey et al. 2011, Kaldi). */
  povey: (phase) => hann(phase) ** 0.85,
  rectangular: () => 1,
} satisfies Record<string, Curve>

/** A window by name. */
export type WindowName = keyof typeof curves

/** The names of the windows. */
export const windowNames = Object.keys(curves) as [WindowName, ...WindowName[]]

/**
 * The values of a window of so many samples.
 *
 * A `symmetric` one ends with the value it begins with, as Kaldi's do; a `periodic` one would begin anew one sample
 * later, as librosa's do.
 */
export function windowOf(
  name: WindowName,
  samples: number,
  kind: 'symmetric' | 'periodic',
): Float64Array {
  const period = kind === 'periodic' ? samples : Math.max(1, samples - 1)
  return Float64Array.from({ length: samples }, (_, n) => curves[name]((2 * Math.PI * n) / period))
}
