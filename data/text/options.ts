// Options of the feature kind `text`.
import { z } from 'zod'

const lowercase = z
  .boolean()
  .default(true)
  .describe("Lower case and no accents, as BERT's uncased models.")
const minimumCount = z
  .int()
  .min(1)
  .default(2)
  .describe('What occurs less often in the training split is unknown.')
const ngrams = z.array(z.int().min(1).max(10)).min(1).max(10)

const learnedTokenizers = [
  z.strictObject({
    kind: z.literal('wordpiece').describe('Pieces of words, learned on the training split.'),
    size: z.int().min(16).max(1_000_000).default(8000).describe('Pieces at most.'),
    lowercase,
    minimumCount,
  }),
  z.strictObject({
    kind: z.literal('word').describe('Whole words, learned on the training split.'),
    size: z
      .int()
      .min(5)
      .max(1_000_000)
      .default(20_000)
      .describe('Words at most, the most frequent.'),
    lowercase,
    minimumCount,
    ngrams: ngrams
      .default([1])
      .describe('How many neighbouring words make a term; [1, 2] for both.'),
  }),
  z.strictObject({
    kind: z.literal('hashed').describe('Terms numbered by their FNV-1a hash; nothing is learned.'),
    buckets: z
      .int()
      .min(8)
      .max(1_000_000)
      .default(4096)
      .describe('How many ids there are, the first four of them reserved.'),
    lowercase,
    characters: z
      .boolean()
      .default(false)
      .describe('Terms are n-grams of the characters of <word>, not of words.'),
    ngrams: ngrams
      .default([1])
      .describe('How many neighbours make a term; [3, 4, 5] suits characters.'),
  }),
  z.strictObject({
    kind: z.literal('byte').describe('UTF-8 bytes plus 1; 0 is padding. Nothing is learned.'),
  }),
] as const

const tokenizerOptions = z.union([
  z.literal('model').describe("The tokenizer.json in the model's folder."),
  z.strictObject({
    file: z.string().min(1).describe('Path of a Hugging Face tokenizer.json.'),
  }),
  z.discriminatedUnion('kind', learnedTokenizers),
])

const side = z.enum(['left', 'right'])

/** Options of the feature kind `text`. */
export const textOptions = z.strictObject({
  kind: z.literal('text').describe('Text as ids of tokens, or as a bag of words.'),
  column: z
    .string()
    .optional()
    .describe('The column: text, or a list of words. Unless told, the only one that is text.'),
  columns: z
    .array(z.string())
    .length(2)
    .optional()
    .describe('Two text columns as a pair for one input: [CLS] a [SEP] b [SEP].'),
  tokenizer: tokenizerOptions.prefault({ kind: 'wordpiece' }).describe('What makes ids of a text.'),
  length: z
    .int()
    .min(1)
    .max(1 << 16)
    .default(128)
    .describe('Tokens a sample, special ones among them (max_length in Hugging Face).'),
  paddingSide: side
    .optional()
    .describe(
      "Where padding is added (padding_side); the tokenizer file's own unless told, else right.",
    ),
  truncationSide: side
    .optional()
    .describe(
      "Where what is too long is cut (truncation_side); the tokenizer file's own unless told, else right. Of a pair the longer one is cut first (longest_first).",
    ),
  specialTokens: z
    .boolean()
    .optional()
    .describe(
      'Whether special tokens stand around texts (add_special_tokens); unless told, yes for pairs, for wordpiece and for tokenizers from files.',
    ),
  output: z
    .enum(['ids', 'bag'])
    .default('ids')
    .describe('Ids in their order, or one number for each id of the vocabulary.'),
  weights: z
    .enum(['count', 'binary', 'tfidf'])
    .default('count')
    .describe(
      'What a bag holds: how often, whether, or tf-idf, learned on the training split, smoothed and of length 1 as in scikit-learn.',
    ),
  missing: z
    .enum(['refuse', 'empty'])
    .default('refuse')
    .describe('Whether a missing cell is an error or an empty text.'),
})

/** Resolved options of the feature kind `text`. */
export type TextOptions = z.output<typeof textOptions>
