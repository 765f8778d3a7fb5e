// Pictures in files, without labels.
import sharp from 'sharp'
import { random } from '../../base/random.ts'
import type { RecipeInput } from '../../index.ts'
import { folderOf } from './whole.ts'

/** Pictures of soft shapes, all in one folder. */
async function pictures(count: number): Promise<string> {
  const files: Record<string, Uint8Array> = {}
  for (let index = 0; index < count; index++) {
    const { uniform } = random(11, 'pictures', index)
    const [x, y, size] = [uniform() * 80, uniform() * 60, 10 + 20 * uniform()]
    const pixels = Uint8Array.from({ length: 80 * 60 * 3 }, (_, at) => {
      const [column, row] = [Math.floor(at / 3) % 80, Math.floor(at / 240)]
      const distance = Math.hypot(column - x, row - y) / size
      return 40 + 160 * Math.exp(-distance * distance) + 20 * (at % 3) + 10 * uniform()
    })
    const raw = { width: 80, height: 60, channels: 3 } as const
    files[`${index}.png`] = await sharp(pixels, { raw }).png().toBuffer()
  }
  return folderOf(files)
}

/** The data of a recipe: so many pictures without labels. */
export const unlabelled = async (
  count: number,
  image: { resize?: [number, number]; letterbox?: [number, number]; channels?: 1 | 3 },
): Promise<RecipeInput['data']> => ({
  format: 'images',
  path: await pictures(count),
  images: { labels: 'none' },
  features: { image: { kind: 'image', column: 'image', ...image } },
})
