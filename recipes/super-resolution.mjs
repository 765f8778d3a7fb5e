// Data for super-resolution.yaml, and an example of a data module: pictures of 224 x 224 shades of grey, each of 7 x 7
// photographs of CIFAR-10 side by side. So every pixel is one that a camera saw, at its own size; of the seams between
// photographs there are as few as the sizes allow.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

const side = 32
const across = 7
const planeBytes = side * side
// A label, then all reds, all greens, all blues.
const recordBytes = 1 + 3 * planeBytes

const folder = join(process.env.CONDENSE_DATA ?? '', 'cifar-10')

/** The photographs of a file; `test_batch.bin` or `test_batch.bin.gz`. */
function open(name) {
  const path = join(folder, name)
  if (existsSync(path)) return readFileSync(path)
  if (existsSync(`${path}.gz`)) return gunzipSync(readFileSync(`${path}.gz`))
  throw new Error(`there is no ${name} in '${folder}': let CONDENSE_DATA name the folder of cifar-10`)
}

/** Puts the luminance (ITU-R BT.601, as the model's authors take it) of a photograph into its place of a picture. */
function place(photographs, index, values, number) {
  const start = index * recordBytes + 1
  const corner = Math.floor(number / across) * side * side * across + (number % across) * side
  for (let pixel = 0; pixel < planeBytes; pixel++) {
    const at = start + pixel
    const [red, green, blue] = [0, planeBytes, 2 * planeBytes].map((from) => photographs[at + from])
    const row = Math.floor(pixel / side)
    values[corner + row * side * across + (pixel % side)] = Math.round(
      0.299 * red + 0.587 * green + 0.114 * blue,
    )
  }
}

/** The pictures of a file, as many as its photographs are enough for. */
function* pictures(name) {
  const photographs = open(name)
  const tiles = across ** 2
  for (let first = 0; (first + tiles) * recordBytes <= photographs.length; first += tiles) {
    const values = new Uint8Array(tiles * planeBytes)
    for (let number = 0; number < tiles; number++)
      place(photographs, first + number, values, number)
    yield { image: { shape: [1, side * across, side * across], values } }
  }
}

export const train = () => pictures('data_batch_1.bin')
export const test = () => pictures('test_batch.bin')
