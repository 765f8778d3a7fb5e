// Images after they were written as JPEG and read again, which users' images have been and training images often have not.
import { UserError } from '../../base/errors.ts'
import type { Dataset } from '../../data/dataset.ts'

/** The images of a data set of these numbers, each `[C, H, W]`, after JPEG of a quality of 1..100. */
export async function throughJpeg(
  image: NonNullable<Dataset['image']>,
  indices: Uint32Array,
  quality: number,
): Promise<(row: number, into: Float32Array) => void> {
  const [channels, height, width] = image.shape
  if (channels !== 1 && channels !== 3)
    throw new UserError(`JPEG has one or three channels, not ${channels}`)
  const { default: sharp } = await import('sharp')
  const area = height * width
  const { background, white } = image
  const planes = new Float32Array(channels * area)
  const recode = (row: number): Promise<Buffer> => {
    image.read(indices[row]!, planes, 0)
    const pixels = new Uint8Array(planes.length)
    for (let i = 0; i < pixels.length; i++) {
      const channel = i % channels
      const value = planes[channel * area + Math.floor(i / channels)]!
      const share = (value - background[channel]!) / (white[channel]! - background[channel]!)
      pixels[i] = Math.round(Math.min(1, Math.max(0, share)) * 255)
    }
    const colours = channels === 1 ? 'b-w' : 'srgb'
    return sharp(pixels, { raw: { width, height, channels } })
      .toColourspace(colours)
      .jpeg({ quality })
      .toBuffer()
      .then((file) => sharp(file).toColourspace(colours).raw({ depth: 'uchar' }).toBuffer())
  }
  // Bytes of all of them: a quarter of what the model takes.
  const recoded = await Promise.all(Array.from(indices, (_, row) => recode(row)))
  return (row, into) => {
    const pixels = recoded[row]!
    for (let i = 0; i < into.length; i++) {
      const channel = Math.floor(i / area)
      const share = pixels[(i % area) * channels + channel]! / 255
      into[i] = background[channel]! + share * (white[channel]! - background[channel]!)
    }
  }
}
