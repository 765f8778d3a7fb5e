// A folder laid out as on the Hugging Face Hub: the ONNX file, the names of its labels, and how its inputs are prepared,
// in Condense's own options. The files are not trusted; what cannot be expressed is said, never guessed.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf, UserError } from '../base/errors.ts'
import type { ImageOptions } from '../data/features/image.ts'
import type { PreprocessOptions } from '../data/preprocess.ts'
import { fileSizeBytes, listFolder, readWhole } from '../data/readers/files.ts'
import { imageSchema, imageSettings } from './hub-images.ts'

/** What a feature extractor for sound says, as far as it says it. */
export interface HubAudio {
  /** Samples a second. */
  readonly rateHz: number
  /** Mel bands, or coefficients; undefined where the model takes the wave itself. */
  readonly features?: number | undefined
  /** Samples of a window of the Fourier transform. */
  readonly fftSize?: number | undefined
  /** Samples from one window to the next. */
  readonly hopLength?: number | undefined
  /** Length of an input in seconds. */
  readonly seconds?: number | undefined
  /** Frames of an input. */
  readonly frames?: number | undefined
  /** Whether each sample is brought to mean 0 and variance 1 by itself. */
  readonly normalize: boolean
}

/** What a tokenizer's files say. */
export interface HubText {
  /** Options of the feature `text`. */
  readonly options: {
    readonly tokenizer: { readonly file: string }
    readonly paddingSide?: 'left' | 'right' | undefined
    readonly truncationSide?: 'left' | 'right' | undefined
  }
  /** More tokens than this the model does not take. */
  readonly maximumLength?: number | undefined
  readonly padToken?: string | undefined
  readonly lowercase?: boolean | undefined
}

/** What a folder says of its model. */
export interface HubConfig {
  /** Path of the ONNX file; undefined where there is none. */
  readonly model: string | undefined
  /** Names of the classes in the order of the outputs; undefined where none are given, or placeholders (`LABEL_0`). */
  readonly labels: readonly string[] | undefined
  /** Transformers' `problem_type`: single_label_classification, multi_label_classification or regression. */
  readonly problem: string | undefined
  /** Options of `preprocess`; undefined for models of no images. */
  readonly preprocess: Partial<PreprocessOptions> | undefined
  /** Options of the feature `image`. */
  readonly image: Partial<ImageOptions> | undefined
  readonly audio: HubAudio | undefined
  readonly text: HubText | undefined
  /** For the log: what the files ask for and Condense does not do. */
  readonly notes: readonly string[]
}

/** Reads what a folder says; files that are absent say nothing, damaged ones are a {@link UserError}. */
export async function readHubConfig(folder: string): Promise<HubConfig> {
  const config = await readJson(join(folder, 'config.json'), configSchema)
  const extractorPath = join(folder, 'preprocessor_config.json')
  const extractor = await readJson(extractorPath, extractorSchema)
  const isAudio = extractor?.sampling_rate !== undefined
  const images =
    extractor && !isAudio
      ? imageSettings(
          await readJson(extractorPath, imageSchema),
          config?.num_channels,
          extractorPath,
        )
      : undefined
  const labels = labelNames(config?.id2label, join(folder, 'config.json'))
  return {
    model: await findModel(folder),
    labels,
    problem: config?.problem_type ?? undefined,
    preprocess: images?.preprocess,
    image: images?.image,
    audio: isAudio ? audioFacts(extractor) : undefined,
    text: await textFacts(folder, config?.max_position_embeddings ?? undefined),
    notes: images?.notes ?? [],
  }
}

/**
 * Path of a folder's ONNX file: `onnx/model.onnx`, `model.onnx`, or the only one there.
 *
 * Undefined where there is none; several without one of those names are a {@link UserError} that lists them.
 */
export async function findModel(folder: string): Promise<string | undefined> {
  const found: string[] = []
  for (const place of [join(folder, 'onnx'), folder]) {
    if (!(await exists(place, 'folder'))) continue
    const names = (await listFolder(place)).filter((name) => name.endsWith('.onnx'))
    if (names.includes('model.onnx')) return join(place, 'model.onnx')
    found.push(...names.map((name) => join(place, name)))
  }
  if (found.length > 1)
    throw new UserError(
      `${folder}: several ONNX files, none called model.onnx: ${found.slice(0, 5).join(', ')}${found.length > 5 ? ', …' : ''} — name one of them`,
    )
  return found[0]
}

const maximumBytes = 1 << 24
const whole = z.int().min(1)

const configSchema = z.object({
  id2label: z.unknown().optional(),
  problem_type: z.string().nullish(),
  num_channels: whole.nullish(),
  max_position_embeddings: whole.nullish(),
})

const extractorSchema = z.object({
  sampling_rate: whole.optional(),
  feature_size: whole.nullish(),
  num_mel_bins: whole.nullish(),
  n_fft: whole.nullish(),
  hop_length: whole.nullish(),
  chunk_length: z.number().positive().nullish(),
  max_length: whole.nullish(),
  do_normalize: z.boolean().nullish(),
})

const side = z.enum(['left', 'right']).nullish()

const tokenizerSchema = z.object({
  model_max_length: z.number().positive().nullish(),
  padding_side: side,
  truncation_side: side,
  pad_token: z.union([z.string(), z.object({ content: z.string() })]).nullish(),
  do_lower_case: z.boolean().nullish(),
})

/** Reads a JSON file of limited size and checks the types of what is known of it; undefined where there is none. */
async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  if (!(await exists(path, 'file'))) return undefined
  const size = await fileSizeBytes(path)
  if (size > maximumBytes)
    throw new UserError(`${path}: too long for a configuration: ${size} bytes — check the file`)
  const text = new TextDecoder().decode(await readWhole(path, size))
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (thrown) {
    throw new UserError(`${path}: is not JSON: ${messageOf(thrown)} — fetch the file again`)
  }
  const parsed = schema.safeParse(content)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new UserError(
    `${path}: ${issue?.path.join('.') || 'the whole'}: ${issue?.message.split('\n')[0]} — correct the file, or remove it and give the options in the recipe`,
  )
}

async function exists(path: string, kind: 'file' | 'folder'): Promise<boolean> {
  return await stat(path).then(
    (found) => (kind === 'file' ? found.isFile() : found.isDirectory()),
    () => false,
  )
}

/** Names by number; the numbers must be 0 … n-1. */
function labelNames(id2label: unknown, path: string): string[] | undefined {
  if (id2label === undefined || id2label === null) return undefined
  const wrong = (what: string) =>
    new UserError(
      `${path}: id2label: expected names for the numbers 0, 1, 2, …: ${what} — correct the file`,
    )
  if (typeof id2label !== 'object' || Array.isArray(id2label)) throw wrong(typeof id2label)
  const byNumber = new Map<number, string>()
  for (const [key, name] of Object.entries(id2label)) {
    if (!/^(?:0|[1-9]\d{0,8})$/.test(key)) throw wrong(`the key '${key.slice(0, 40)}'`)
    if (typeof name !== 'string' && typeof name !== 'number') throw wrong(`no name for ${key}`)
    byNumber.set(Number(key), String(name))
  }
  const names = Array.from({ length: byNumber.size }, (_, number) => {
    const name = byNumber.get(number)
    if (name === undefined) throw wrong(`${byNumber.size} names, and none for ${number}`)
    return name
  })
  const isPlaceholder = names.every((name, number) => name === `LABEL_${number}`)
  return names.length === 0 || isPlaceholder ? undefined : names
}

function audioFacts(extractor: z.output<typeof extractorSchema>): HubAudio {
  const { sampling_rate, feature_size, num_mel_bins, do_normalize } = extractor
  const features = num_mel_bins ?? feature_size ?? undefined
  return {
    rateHz: sampling_rate!,
    // Models of the wave itself say 1.
    features: features === 1 ? undefined : features,
    fftSize: extractor.n_fft ?? undefined,
    hopLength: extractor.hop_length ?? undefined,
    seconds: extractor.chunk_length ?? undefined,
    frames: extractor.max_length ?? undefined,
    normalize: do_normalize ?? false,
  }
}

/** Tokenizers without a limit say 10³⁰. */
const longestText = 1 << 20

async function textFacts(folder: string, positions?: number): Promise<HubText | undefined> {
  const file = join(folder, 'tokenizer.json')
  if (!(await exists(file, 'file'))) return undefined
  const config = await readJson(join(folder, 'tokenizer_config.json'), tokenizerSchema)
  const limit = Math.min(config?.model_max_length ?? longestText, positions ?? longestText)
  const padToken = config?.pad_token
  return {
    options: {
      tokenizer: { file },
      paddingSide: config?.padding_side ?? undefined,
      truncationSide: config?.truncation_side ?? undefined,
    },
    maximumLength: limit < longestText ? Math.floor(limit) : undefined,
    padToken: (typeof padToken === 'object' ? padToken?.content : padToken) ?? undefined,
    lowercase: config?.do_lower_case ?? undefined,
  }
}
