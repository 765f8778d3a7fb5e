// A tokenizer of Hugging Face's, read from its tokenizer.json.

import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { messageOf, UserError } from '../../base/errors.ts'
import { sha256 } from '../../base/hash.ts'
import { claimedSizeBytes, readWhole } from '../readers/files.ts'
import { wellFormed } from './basic.ts'
import type { Side, Slot, TextTokenizer } from './tokenizer.ts'
import { readableTokenizer, specialIds } from './tokenizer-json.ts'

const maximumFileBytes = 1 << 27
const maximumConfigBytes = 1 << 24

/** The tokenizer in a tokenizer.json, and the SHA-256 of what it was made of. */
export interface FileTokenizer {
  readonly tokenizer: TextTokenizer
  readonly sha256: string
}

/** Where the configuration of a tokenizer lies, if it has one. */
export const configPath = (path: string): string => join(dirname(path), 'tokenizer_config.json')

/**
 * Reads a tokenizer.json, and tokenizer_config.json beside it where there is one.
 *
 * Its ids are those of Hugging Face's tokenizers, whatever truncation and padding the file asks for: those are the
 * feature's. Left over positions get the file's padding token, else its end token, else 0. A file that is too large,
 * damaged, or needs what Condense cannot run is a {@link UserError}.
 */
export async function readTokenizer(path: string): Promise<FileTokenizer> {
  const bytes = await readLimited(path, maximumFileBytes)
  const beside = configPath(path)
  const hasConfig = await stat(beside).then(
    (found) => found.isFile(),
    () => false,
  )
  const configBytes = hasConfig ? await readLimited(beside, maximumConfigBytes) : undefined
  const json = parse(bytes, path) as Readonly<Record<string, unknown>> | null
  const config = asRecord(configBytes === undefined ? {} : parse(configBytes, beside))
  return {
    tokenizer: fileTokenizer(json, config, path),
    sha256: sha256(`${sha256(bytes)} ${configBytes === undefined ? '' : sha256(configBytes)}`),
  }
}

/**
 * The tokenizer that the parsed contents of tokenizer.json and tokenizer_config.json describe.
 *
 * @param where the file, for messages
 */
export function fileTokenizer(
  json: unknown,
  config: Readonly<Record<string, unknown>>,
  where: string,
): TextTokenizer {
  const readable = guarded(where, () => readableTokenizer(json, where))
  const model = asRecord(readable.model)
  // A model of whole words is told what unknown ones are by its configuration alone.
  const unknownToken = model.unk_token ?? nameOf(config.unk_token)
  const tokenizer = guarded(
    where,
    () => new Tokenizer(readable, { eos_token: nameOf(config.eos_token), unk_token: unknownToken }),
  )
  const added = new Map<string, number>()
  for (const [id, token] of tokenizer.get_added_tokens_decoder()) {
    added.set(token.content, id)
    if (token.normalized && tokenizer.normalizer !== null)
      added.set(tokenizer.normalizer.normalize(token.content), id)
  }
  const unknown = tokenizer.model?.unk_token_id
  const idOf = (token: string): number => {
    const id = added.get(token) ?? tokenizer.token_to_id(token) ?? unknown
    if (id !== undefined && id !== null) return id
    throw new UserError(
      `${where}: no id and no unknown token for a piece of the text: ${JSON.stringify(token).slice(0, 60)} — add an unk_token to the tokenizer`,
    )
  }
  const lowers = lowersText(readable.normalizer)
  const padding = asRecord(asRecord(json).padding)
  const truncation = asRecord(asRecord(json).truncation)
  const padToken = nameOf(config.pad_token) ?? nameOf(config.eos_token)
  const pad =
    typeof padding.pad_id === 'number'
      ? padding.pad_id
      : ((padToken === undefined ? undefined : tokenizer.token_to_id(padToken)) ?? 0)
  const { single, pair, typed } = slotsOf(tokenizer, readable.post_processor, idOf)
  const inputs = config.model_input_names
  return {
    size: vocabularySize(model, readable.added_tokens as readonly { id: number }[]),
    pad,
    unknown: unknown ?? undefined,
    // The library lowers a whole text, in which a closing sigma is another letter; the original letter by letter.
    ids: (text) => {
      const formed = wellFormed(text)
      return tokenizer.tokenize(lowers ? formed.replaceAll('Σ', 'σ') : formed).map(idOf)
    },
    single,
    pair,
    typed: Array.isArray(inputs) ? inputs.includes('token_type_ids') : typed,
    paddingSide: sideOf(config.padding_side ?? padding.direction),
    truncationSide: sideOf(config.truncation_side ?? truncation.direction),
  }
}

/** Asks the post-processor what it puts around two texts, once; it is the same for all. */
function slotsOf(tokenizer: Tokenizer, part: unknown, idOf: (token: string) => number) {
  const marks = ['\u0001first', '\u0001second']
  const special = specialIds(part)
  const processor = tokenizer.post_processor
  // RoBERTa has one type; the library's processor gives the second text another one.
  const oneType = JSON.stringify(part ?? null).includes('"RobertaProcessing"')
  let typed = false
  const slots = (count: number): Slot[] => {
    const texts = marks.slice(0, count).map((mark) => [mark])
    const made = processor?.post_process(texts[0]!, texts[1] ?? null, true)
    // Some processors leave the second text to whoever comes after them.
    const tokens = made === undefined ? texts.flat() : [...made.tokens, ...(made.tokens_pair ?? [])]
    const types = made?.token_type_ids
    if (types !== undefined && !oneType) typed = true
    return tokens.flatMap((token, at): Slot[] => {
      const text = marks.indexOf(token)
      // Without a word of a processor, the second text is of the second type.
      const type = oneType ? 0 : Number(types?.[at] ?? Math.max(0, text))
      if (text >= 0) return [{ text: text as 0 | 1, type }]
      return (special.get(token) ?? [idOf(token)]).map((id) => ({ special: id, type }))
    })
  }
  const [single, pair] = [slots(1), slots(2)]
  return { single, pair, typed }
}

function lowersText(part: unknown): boolean {
  const { type, lowercase, normalizers } = asRecord(part)
  if (Array.isArray(normalizers)) return normalizers.some(lowersText)
  return type === 'Lowercase' || (type === 'BertNormalizer' && lowercase === true)
}

function vocabularySize(
  model: Readonly<Record<string, unknown>>,
  added: readonly { id: number }[],
): number {
  const { vocab } = model
  let largest = Array.isArray(vocab) ? vocab.length - 1 : -1
  if (!Array.isArray(vocab))
    for (const id of Object.values(asRecord(vocab))) largest = Math.max(largest, id as number)
  for (const { id } of added) largest = Math.max(largest, id)
  return largest + 1
}

const sideOf = (value: unknown): Side =>
  typeof value === 'string' && value.toLowerCase() === 'left' ? 'left' : 'right'

/** Names of tokens stand plainly or inside a description of the token. */
function nameOf(token: unknown): string | undefined {
  const name = typeof token === 'string' ? token : asRecord(token).content
  return typeof name === 'string' ? name : undefined
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

async function readLimited(path: string, limit: number): Promise<Uint8Array> {
  const bytes = await claimedSizeBytes(path)
  if (bytes > limit)
    throw new UserError(`${path}: too long: ${bytes} bytes — use a file of at most ${limit}`)
  return readWhole(path, bytes)
}

function parse(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (thrown) {
    // The parser's own message quotes the file, line breaks included.
    throw new UserError(
      `${path}: not JSON in UTF-8: ${bytes.length} bytes — export the tokenizer again`,
      { cause: thrown },
    )
  }
}

/** What the library throws is about the file, too. */
function guarded<T>(where: string, make: () => T): T {
  try {
    return make()
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown
    const reason = messageOf(thrown).split('\n')[0]!.slice(0, 120)
    throw new UserError(`${where}: the tokenizer cannot be built: ${reason} — use another one`, {
      cause: thrown,
    })
  }
}
