// Power spectra of real frames of any length: by fft.js where it is a power of two, else through Bluestein's convolution.
import FFT from 'fft.js'

/** Writes |X[k]|² of a frame of N samples for k = 0 … floor(N / 2); the frame may be changed by it. */
export type PowerSpectrum = (frame: Float64Array, into: Float64Array) => void

/** Prepares spectra of N points, at least 2; all memory is set aside here, so one spectrum is made at a time. */
export function powerSpectrum(points: number): PowerSpectrum {
  return isPowerOfTwo(points) ? byRadix(points) : byConvolution(points)
}

/** The smallest power of two that is at least so great. */
export function powerOfTwoFrom(minimum: number): number {
  let power = 1
  while (power < minimum) power *= 2
  return power
}

const isPowerOfTwo = (value: number) => powerOfTwoFrom(value) === value

function byRadix(points: number): PowerSpectrum {
  const fft = new FFT(points)
  const spectrum = new Float64Array(2 * points)
  return (frame, into) => {
    fft.realTransform(spectrum, frame)
    for (let k = 0; k <= points / 2; k++)
      into[k] = spectrum[2 * k]! ** 2 + spectrum[2 * k + 1]! ** 2
  }
}

/**
 * X[k] = w[k] Σₙ (x[n] w[n]) conj(w[k - n]) with w[n] = exp(-iπn² / N), a convolution (Bluestein 1970).
 *
 * The factor w[k] before the sum does not change the power.
 */
function byConvolution(points: number): PowerSpectrum {
  const size = powerOfTwoFrom(2 * points - 1)
  const fft = new FFT(size)
  const chirp = new Float64Array(2 * points)
  const [input, spectrum, product] = [0, 1, 2].map(() => new Float64Array(2 * size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  for (let n = 0; n < points; n++) {
    // n² is taken modulo 2N: large angles would lose digits.
    const angle = (Math.PI * ((n * n) % (2 * points))) / points
    chirp[2 * n] = Math.cos(angle)
    chirp[2 * n + 1] = -Math.sin(angle)
    for (const at of n === 0 ? [0] : [n, size - n]) {
      input[2 * at] = Math.cos(angle)
      input[2 * at + 1] = Math.sin(angle)
    }
  }
  const filter = new Float64Array(2 * size)
  fft.transform(filter, input)
  input.fill(0)

  return (frame, into) => {
    for (let n = 0; n < points; n++) {
      input[2 * n] = frame[n]! * chirp[2 * n]!
      input[2 * n + 1] = frame[n]! * chirp[2 * n + 1]!
    }
    fft.transform(spectrum, input)
    for (let at = 0; at < 2 * size; at += 2) {
      const [a, b, c, d] = [spectrum[at]!, spectrum[at + 1]!, filter[at]!, filter[at + 1]!]
      product[at] = a * c - b * d
      product[at + 1] = a * d + b * c
    }
    fft.inverseTransform(spectrum, product)
    for (let k = 0; k <= points / 2; k++)
      into[k] = spectrum[2 * k]! ** 2 + spectrum[2 * k + 1]! ** 2
  }
}
