// What a tokenizer.json may hold, and how it is put so that the library reads it as Hugging Face's own does.
import { UserError } from '../../base/errors.ts'

type Part = Readonly<Record<string, unknown>> & { readonly type: string }

/** Ids beyond this are a mistake or an attack: the largest vocabularies have a few hundred thousand. */
export const maximumIds = 1 << 22
const maximumPatternCharacters = 10_000
const maximumDepth = 16

/**
 * Checks the content of a tokenizer.json and rewrites what the library reads differently.
 *
 * Pre-tokenizers that it takes for ASCII (words, digits, runs of punctuation) become patterns; missing fields get the
 * defaults of Hugging Face's tokenizers. What neither can do is a {@link UserError} that names it.
 *
 * @param where the file, for messages
 */
export function readableTokenizer(content: unknown, where: string): Record<string, unknown> {
  const file = record(content, where, 'tokenizer')
  return {
    normalizer: optional(file.normalizer, where, 'normalizer', normalizer),
    pre_tokenizer: optional(file.pre_tokenizer, where, 'pre_tokenizer', preTokenizer),
    model: model(record(file.model, where, 'model'), where),
    post_processor: optional(file.post_processor, where, 'post_processor', postProcessor),
    decoder: null,
    added_tokens: addedTokens(file.added_tokens ?? [], where),
  }
}

type Rewrite = (part: Part, where: string, depth: number) => Part

const sameParts = ['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'Strip', 'Prepend', 'Precompiled']

const normalizer: Rewrite = (part, where, depth) => {
  if (sameParts.includes(part.type) || part.type === 'BertNormalizer') return part
  switch (part.type) {
    case 'Sequence':
      return { ...part, normalizers: parts(part, 'normalizers', where, depth, normalizer) }
    case 'Replace':
      return { ...part, pattern: pattern(part, where) }
    case 'StripAccents':
      return { type: 'Replace', pattern: { Regex: '\\p{M}' }, content: '' }
    default:
      throw unsupported(where, 'normalizer', part.type)
  }
}

const split = (regex: string, behavior: 'Isolated' | 'Removed', invert = false): Part => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior,
  invert,
})
const punctuation = '[\\p{P}!-\\/:-@\\[-`{-~]'

const preTokenizer: Rewrite = (part, where, depth) => {
  switch (part.type) {
    case 'BertPreTokenizer':
    case 'FixedLength':
      return part
    case 'WhitespaceSplit':
      return split('\\S+', 'Removed', true)
    case 'Sequence':
      return { ...part, pretokenizers: parts(part, 'pretokenizers', where, depth, preTokenizer) }
    case 'ByteLevel':
      return byteLevel(part)
    case 'Whitespace':
      return split('\\w+|[^\\w\\s]+', 'Removed', true)
    case 'Digits':
      return split(part.individual_digits === true ? '\\p{N}' : '\\p{N}+', 'Isolated')
    case 'CharDelimiterSplit': {
      const { delimiter } = part
      if (typeof delimiter !== 'string') throw broken(where, 'delimiter', delimiter)
      return split(escaped(delimiter), 'Removed')
    }
    case 'Punctuation': {
      const behavior = part.behavior ?? 'Isolated'
      if (behavior === 'Isolated' || behavior === 'Removed') return split(punctuation, behavior)
      if (behavior === 'Contiguous') return split(`${punctuation}+`, 'Isolated')
      throw unsupported(where, 'pre_tokenizer', `Punctuation ${String(behavior)}`)
    }
    case 'Metaspace':
      return metaspace(part)
    case 'Split': {
      const { behavior } = part
      if (behavior !== 'Isolated' && behavior !== 'Removed')
        throw unsupported(where, 'pre_tokenizer', `Split ${String(behavior)}`)
      const { String: plain, Regex: regex } = pattern(part, where)
      // Isolated, what matches and what does not are both kept, whichever is called the delimiter.
      const invert = behavior === 'Removed' && part.invert === true
      // The library would keep what a group of the delimiter matches.
      if (behavior === 'Removed' && !invert && /(^|[^\\])\((?!\?)/.test(regex ?? ''))
        throw unsupported(where, 'pre_tokenizer', 'Split Removed with groups')
      return split(regex ?? escaped(plain!), behavior, invert)
    }
    default:
      throw unsupported(where, 'pre_tokenizer', part.type)
  }
}

const escaped = (plain: string) => plain.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')

// GPT-2's words (Radford et al. 2019).
const byteLevelWords =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/** Bytes as characters; the library takes other characters for spaces and adds no leading one unless told. */
function byteLevel(part: Part): Part {
  const adds = part.add_prefix_space ?? true
  const bytes = { ...part, add_prefix_space: adds }
  if (adds || part.use_regex === false) return bytes
  const words = split(byteLevelWords, 'Isolated')
  return { type: 'Sequence', pretokenizers: [words, { ...bytes, use_regex: false }] }
}

/** Marks for spaces; the library leaves out the split before each mark. */
function metaspace(part: Part): Part {
  const mark = String(part.replacement ?? '▁')
  const scheme = part.prepend_scheme ?? (part.add_prefix_space === false ? 'never' : 'always')
  const marked: Part = { type: 'Metaspace', replacement: mark, prepend_scheme: scheme }
  if (part.split === false) return marked
  const one = escaped(mark)
  const pieces = split(`${one}[^${one}]*|[^${one}]+`, 'Removed', true)
  return { type: 'Sequence', pretokenizers: [marked, pieces] }
}

const postProcessor: Rewrite = (part, where, depth) => {
  switch (part.type) {
    case 'ByteLevel':
      return part
    case 'BertProcessing':
    case 'RobertaProcessing':
      for (const name of ['cls', 'sep'] as const) namedId(part[name], where, name)
      return part
    case 'TemplateProcessing':
      for (const name of ['single', 'pair'] as const)
        list(part[name], where, `post_processor.${name}`)
      return part
    case 'Sequence':
      return { ...part, processors: parts(part, 'processors', where, depth, postProcessor) }
    default:
      throw unsupported(where, 'post_processor', part.type)
  }
}

/** The ids that post-processors give to special tokens by name; a name may stand for several. */
export function specialIds(part: unknown): Map<string, readonly number[]> {
  const found = new Map<string, readonly number[]>()
  const visit = (of: unknown) => {
    if (!isRecord(of)) return
    for (const each of Array.isArray(of.processors) ? of.processors : []) visit(each)
    for (const name of ['cls', 'sep'] as const) {
      const entry = of[name]
      if (Array.isArray(entry)) found.set(String(entry[0]), [Number(entry[1])])
    }
    const tokens = of.special_tokens
    for (const [name, token] of Object.entries(isRecord(tokens) ? tokens : {}))
      if (isRecord(token) && Array.isArray(token.ids)) found.set(name, token.ids.map(Number))
  }
  visit(part)
  return found
}

function model(part: Readonly<Record<string, unknown>>, where: string): Record<string, unknown> {
  const { vocab } = part
  // Files of 2020 do not say which model they hold.
  const type =
    part.type ??
    (Array.isArray(vocab) ? 'Unigram' : part.merges === undefined ? 'WordPiece' : 'BPE')
  const refuse = (field: string) => {
    throw unsupported(where, 'model', `${String(type)} with ${field}`)
  }
  if (type === 'Unigram') {
    if (part.byte_fallback === true) refuse('byte_fallback')
    const pieces = list(vocab, where, 'model.vocab')
    if (pieces.length > maximumIds) throw tooMany(where, pieces.length)
    for (const entry of pieces)
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number')
        throw broken(where, 'model.vocab', entry)
    const { unk_id } = part
    if (unk_id !== null && unk_id !== undefined) idOf(unk_id, where, 'model.unk_id', pieces.length)
    return { ...part, type }
  }
  const entries = Object.entries(record(vocab, where, 'model.vocab'))
  if (entries.length > maximumIds) throw tooMany(where, entries.length)
  for (const [, id] of entries) idOf(id, where, 'model.vocab')
  switch (type) {
    case 'WordPiece':
      return {
        ...part,
        type,
        unk_token: part.unk_token ?? '[UNK]',
        continuing_subword_prefix: part.continuing_subword_prefix ?? '##',
      }
    case 'BPE': {
      if (part.continuing_subword_prefix) refuse('continuing_subword_prefix')
      for (const merge of list(part.merges, where, 'model.merges')) {
        const two = typeof merge === 'string' ? merge.split(' ') : merge
        if (!Array.isArray(two) || two.length !== 2 || !two.every((one) => typeof one === 'string'))
          throw broken(where, 'model.merges', merge)
      }
      return { ...part, type }
    }
    case 'WordLevel':
      return { ...part, type }
    default:
      throw unsupported(where, 'model', String(type))
  }
}

function addedTokens(content: unknown, where: string): unknown[] {
  return list(content, where, 'added_tokens').map((entry) => {
    const token = record(entry, where, 'added_tokens')
    idOf(token.id, where, 'added_tokens')
    if (typeof token.content !== 'string' || token.content === '')
      throw broken(where, 'added_tokens', entry)
    if (token.single_word === true)
      throw unsupported(where, 'added_tokens', `single_word of '${token.content}'`)
    return token
  })
}

function optional(part: unknown, where: string, name: string, rewrite: Rewrite): Part | null {
  if (part === null || part === undefined) return null
  return rewrite(typed(part, where, name), where, 0)
}

function parts(part: Part, field: string, where: string, depth: number, rewrite: Rewrite): Part[] {
  if (depth >= maximumDepth) throw broken(where, field, 'nested too deeply')
  return list(part[field], where, field).map((each) =>
    rewrite(typed(each, where, field), where, depth + 1),
  )
}

/** The text or the regular expression of a pattern; one of them is there. */
function pattern(part: Part, where: string): { String?: string; Regex?: string } {
  const content = record(part.pattern, where, `pattern of ${part.type}`)
  const text = content.String ?? content.Regex
  if (typeof text !== 'string' || text.length > maximumPatternCharacters)
    throw broken(where, `pattern of ${part.type}`, text)
  return content.String === undefined ? { Regex: text } : { String: text }
}

function typed(part: unknown, where: string, name: string): Part {
  const checked = record(part, where, name)
  if (typeof checked.type !== 'string') throw broken(where, `${name}.type`, checked.type)
  return checked as Part
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function record(value: unknown, where: string, name: string): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw broken(where, name, value)
  return value
}

function list(value: unknown, where: string, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw broken(where, name, value)
  return value
}

function idOf(value: unknown, where: string, name: string, limit = maximumIds): void {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= limit)
    throw broken(where, `an id in ${name}`, value)
}

function namedId(value: unknown, where: string, name: string): void {
  if (!Array.isArray(value) || typeof value[0] !== 'string') throw broken(where, name, value)
  idOf(value[1], where, name)
}

const shown = (value: unknown) => (JSON.stringify(value) ?? 'missing').slice(0, 60)

function broken(where: string, name: string, value: unknown): UserError {
  return new UserError(
    `${where}: not what a tokenizer has for ${name}: ${shown(value)} — export the tokenizer again`,
  )
}

function tooMany(where: string, count: number): UserError {
  return new UserError(
    `${where}: too many tokens: ${count} — use a vocabulary of at most ${maximumIds}`,
  )
}

function unsupported(where: string, name: string, value: string): UserError {
  return new UserError(
    `${where}: a ${name} that Condense cannot run: ${value.slice(0, 60)} — use another tokenizer, or a learned one (tokenizer: { kind: wordpiece })`,
  )
}
