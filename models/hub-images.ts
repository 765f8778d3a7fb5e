// Transformers' image processors in Condense's options: what their preprocessor_config.json means, old forms included.
import { z } from 'zod'
import type { ImageOptions } from '../data/features/image.ts'
import type { PreprocessOptions } from '../data/preprocess.ts'

const edge = z.int().min(1).max(16384)
const sizes = z.union([
  edge,
  z.tuple([edge, edge]),
  z.object({
    height: edge.nullish(),
    width: edge.nullish(),
    shortest_edge: edge.nullish(),
    longest_edge: edge.nullish(),
  }),
])
const numbers = z.union([z.number(), z.array(z.number()).min(1).max(16)])

/** Schema of what is read of a `preprocessor_config.json` for images. */
export const imageSchema = z.object({
  image_processor_type: z.string().nullish(),
  feature_extractor_type: z.string().nullish(),
  do_resize: z.boolean().nullish(),
  size: sizes.nullish(),
  crop_pct: z.number().gt(0).max(1).nullish(),
  resample: z.int().nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: sizes.nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().positive().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: numbers.nullish(),
  image_std: numbers.nullish(),
  do_flip_channel_order: z.boolean().nullish(),
  do_pad: z.boolean().nullish(),
  include_top: z.boolean().nullish(),
  rescale_offset: z.boolean().nullish(),
})

type HubImageConfig = z.output<typeof imageSchema>

/** Numbers of Pillow's filters. */
const filters = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const

/** Processors for which a size that is one number is the shorter edge; for all others it is both. */
const byShorterEdge =
  /^(?:Bit|CLIP|ChineseCLIP|ConvNext|Levit|MobileNetV1|MobileNetV2|MobileViT|PoolFormer|VideoMAE)(?:FeatureExtractor|ImageProcessor)/

/** From this edge on ConvNext resizes without cutting. */
const convNextWholeEdge = 384

interface Settings {
  readonly preprocess: Partial<PreprocessOptions>
  readonly image: Partial<ImageOptions>
  readonly notes: readonly string[]
}

/**
 * Options of `preprocess` and of the feature `image` that do what a processor does; `notes` say what it does besides.
 *
 * Where the file is silent the defaults are Transformers': resize, rescale by 1/255, normalise if there is a mean.
 */
export function imageSettings(
  config: HubImageConfig | undefined,
  channels: number | null | undefined,
  path: string,
): Settings | undefined {
  if (config === undefined) return undefined
  const notes: string[] = []
  const note = (what: string) => notes.push(`${path}: not applied: ${what}`)
  const type = config.image_processor_type ?? config.feature_extractor_type ?? ''
  const isMobileVit = type.startsWith('MobileViT')
  const scale = (config.do_rescale ?? true) ? (config.rescale_factor ?? 1 / 255) : 1
  const { image_mean: mean, image_std: std } = config
  // MobileViT's processor knows no normalisation and turns the colours unless told.
  const normalizes = !isMobileVit && (config.do_normalize ?? (mean ?? undefined) !== undefined)
  if (normalizes && (mean ?? std ?? undefined) === undefined)
    note('do_normalize without image_mean and image_std — give preprocess.mean and std')
  if (config.include_top) note('include_top, which divides by image_std once more')
  if (config.rescale_offset) note('rescale_offset — give preprocess.scale and mean')
  if (config.do_pad) note('do_pad — give pad or letterbox')
  const flips = config.do_flip_channel_order ?? isMobileVit
  return {
    preprocess: {
      scale,
      ...(normalizes && { mean: mean ?? 0, std: std ?? 1 }),
      ...(flips && { colour: 'bgr' }),
    },
    image: {
      ...(channels === 1 || channels === 3 ? { channels } : {}),
      ...resizing(config, type, note),
    },
    notes,
  }
}

function resizing(
  config: HubImageConfig,
  type: string,
  note: (what: string) => void,
): Partial<ImageOptions> {
  const { resample } = config
  const interpolation = filters[resample ?? 2]
  if (interpolation === undefined) note(`resample: ${resample}, which is no filter of Pillow`)
  const resizes = (config.do_resize ?? true) ? sizeOf(config, type, note) : {}
  const cut = cropOf(config, note)
  return { ...(interpolation && { interpolation }), ...resizes, ...cut }
}

/** What becomes of `size`, with the processors that cut by themselves. */
function sizeOf(
  { size, crop_pct: share }: HubImageConfig,
  type: string,
  note: (what: string) => void,
): Pick<Partial<ImageOptions>, 'resize' | 'centerCrop'> {
  if (size === undefined || size === null) {
    note('do_resize without size — give resize')
    return {}
  }
  if (Array.isArray(size)) return { resize: size }
  const isShorter = typeof size === 'number' && byShorterEdge.test(type)
  const shorter = typeof size === 'number' ? (isShorter ? size : undefined) : size.shortest_edge
  if (shorter !== undefined && shorter !== null) {
    if (typeof size === 'object' && (size.longest_edge ?? undefined) !== undefined) {
      note('size.longest_edge — give resize, letterbox or pad')
      return {}
    }
    if (type.startsWith('ConvNext')) {
      if (shorter >= convNextWholeEdge) return { resize: [shorter, shorter] }
      return { resize: Math.trunc(shorter / (share ?? 224 / 256)), centerCrop: shorter }
    }
    if (type.startsWith('Levit')) return { resize: Math.trunc((256 / 224) * shorter) }
    return {
      resize: share && type.startsWith('PoolFormer') ? Math.trunc(shorter / share) : shorter,
    }
  }
  if (typeof size === 'number') return { resize: [size, size] }
  const { height, width } = size
  if ((height ?? undefined) !== undefined && (width ?? undefined) !== undefined)
    return { resize: [height!, width!] }
  note('size without height and width — give resize, letterbox or pad')
  return {}
}

function cropOf(
  { do_center_crop: crops, crop_size: size }: HubImageConfig,
  note: (what: string) => void,
): Pick<Partial<ImageOptions>, 'centerCrop'> {
  if (!crops) return {}
  if (typeof size === 'number' || Array.isArray(size)) return { centerCrop: size }
  const edge = size?.shortest_edge
  if (edge !== undefined && edge !== null) return { centerCrop: edge }
  const [height, width] = [size?.height ?? undefined, size?.width ?? undefined]
  if (height !== undefined && width !== undefined) return { centerCrop: [height, width] }
  note('do_center_crop without crop_size — give centerCrop')
  return {}
}
