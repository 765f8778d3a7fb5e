// Random erasing: a rectangle of the image is painted over.
import { z } from 'zod'
import { between, defineAugmentation } from './augmentation.ts'
import { range } from './options.ts'

const erasingSettings = z.strictObject({
  probability: z.number().min(0).max(1).default(0.5).describe('How often, 0..1.'),
  scale: range(0.02, 0.33, 1e-4, 1).describe('Share of the area that is erased, from and to.'),
  ratio: range(0.3, 3.3, 0.01, 100).describe('Its height by its width, from and to.'),
  value: z
    .union([z.number(), z.literal('random')], { error: `expected a number or 'random'` })
    .default(0)
    .describe('What is put there, after preprocessing; random is Gaussian noise.'),
})

/** Paints over a rectangle of random size and shape (Zhong et al. 2020, algorithm 1). */
export const erasing = defineAugmentation({
  option: z
    .union([z.boolean(), z.number().min(0).max(1), erasingSettings], {
      error: `expected true, false, a probability 0..1, or 'probability', 'scale', 'ratio' and 'value'`,
    })
    .describe('Erases a rectangle of the image with this probability, 0..1; true is 0.5.'),
  settings(option) {
    const settings =
      typeof option === 'object'
        ? option
        : erasingSettings.parse(option === true ? {} : { probability: Number(option) })
    return settings.probability > 0 ? settings : undefined
  },
  apply({ values, offset, channels, height, width }, settings, random) {
    const { probability, scale, ratio, value } = settings
    if (random.uniform() >= probability) return
    // A rectangle that does not fit is drawn anew; after ten tries the image stays whole.
    for (let attempt = 0; attempt < 10; attempt++) {
      const area = height * width * between(random, ...scale)
      const shape = Math.exp(between(random, Math.log(ratio[0]), Math.log(ratio[1])))
      const high = Math.round(Math.sqrt(area * shape))
      const wide = Math.round(Math.sqrt(area / shape))
      if (high < 1 || wide < 1 || high >= height || wide >= width) continue
      const top = random.integer(height - high + 1)
      const left = random.integer(width - wide + 1)
      for (let channel = 0; channel < channels; channel++)
        for (let row = top; row < top + high; row++) {
          const start = offset + (channel * height + row) * width + left
          if (value !== 'random') values.fill(value, start, start + wide)
          else for (let at = start; at < start + wide; at++) values[at] = random.normal()
        }
      return
    }
  },
})
