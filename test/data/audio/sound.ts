// Sounds that tests make: a seeded signal, and WAV files of any format written by hand.

/**
 * A rising tone, a little noise and an offset, within -1..1.
 *
 * The noise is the linear congruential generator of Numerical Recipes with seed 1, so that any language can make it.
 */
export function signal(samples: number, rate: number): Float64Array {
  let state = 1
  return Float64Array.from({ length: samples }, (_, n) => {
    const t = n / rate
    state = (Math.imul(1664525, state) + 1013904223) >>> 0
    const noise = state / 2 ** 31 - 1
    return 0.4 * Math.sin(2 * Math.PI * (100 * t + 1500 * t * t)) + 0.05 * noise + 0.01
  })
}

/** What a file is written as. */
export interface WavFormat {
  /** 1 PCM, 3 floating point, or any other number. */
  readonly code?: number
  readonly bits?: number
  readonly channels?: number
  readonly rate?: number
  readonly frameBytes?: number
  readonly isExtensible?: boolean
  /** Sizes as they are written, where they shall be wrong. */
  readonly riffBytes?: number
  readonly dataBytes?: number
  /** Chunks before and after the samples. */
  readonly before?: Buffer
  readonly after?: Buffer
}

/** A chunk with its head, filled up to an even length. */
export function chunk(name: string, content: Uint8Array, announced = content.length): Buffer {
  const head = Buffer.alloc(8, name, 'latin1')
  head.writeUInt32LE(announced, 4)
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)])
}

/** A WAV file of stored numbers, one after the other for each frame. */
export function wavFile(stored: ArrayLike<number>, format: WavFormat = {}): Buffer {
  const { code = 1, bits = 16, channels = 1, rate = 16_000, isExtensible = false } = format
  const bytes = bits / 8
  const data = Buffer.alloc(stored.length * bytes)
  for (let index = 0; index < stored.length; index++) {
    const [value, at] = [stored[index]!, index * bytes]
    if (code === 3) bits === 32 ? data.writeFloatLE(value, at) : data.writeDoubleLE(value, at)
    else if (bits === 8) data.writeUInt8(value, at)
    else data.writeIntLE(value, at, bytes)
  }
  const head = Buffer.alloc(isExtensible ? 40 : 16)
  head.writeUInt16LE(isExtensible ? 0xfffe : code, 0)
  head.writeUInt16LE(channels, 2)
  head.writeUInt32LE(rate, 4)
  head.writeUInt32LE((rate * channels * bytes) >>> 0, 8)
  head.writeUInt16LE(format.frameBytes ?? channels * bytes, 12)
  head.writeUInt16LE(bits, 14)
  if (isExtensible) {
    head.writeUInt16LE(22, 16)
    head.writeUInt16LE(bits, 18)
    head.writeUInt16LE(code, 24)
    Buffer.from('000000001000800000aa00389b71', 'hex').copy(head, 26)
  }
  const content = Buffer.concat([
    Buffer.from('WAVE'),
    chunk('fmt ', head),
    format.before ?? Buffer.alloc(0),
    chunk('data', data, format.dataBytes),
    format.after ?? Buffer.alloc(0),
  ])
  return chunk('RIFF', content, format.riffBytes)
}

/** A 16-bit file of samples within -1..1. */
export function wavOf(samples: Float64Array, rate: number): Buffer {
  return wavFile(
    samples.map((sample) => Math.round(sample * 32_767)),
    { rate },
  )
}
