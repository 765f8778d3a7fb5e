// The feature kind `text`: ids of tokens in a fixed length, or a bag of words.
import { configPath } from '../text/file.ts'
import { textOptions } from '../text/options.ts'
import { defineFeature } from './feature.ts'
import { textColumns, textReader } from './text-cells.ts'
import { bagEncoder, idsEncoder } from './text-encoders.ts'
import { type LearnedText, learnText, tokenizerOf, tokenizerPath } from './text-learning.ts'

/**
 * Text as a tensor of ids, with `attention_mask` and, for pairs and BERT's tokenizers, `token_type_ids`; or as a bag.
 *
 * Of a very long text the first max(65,536, 32 · length) characters are looked at (the last ones where it is cut on
 * the left). Halves of surrogate pairs are U+FFFD. An empty text is special tokens and padding.
 */
export const text = defineFeature<typeof textOptions, LearnedText>({
  summary:
    'text as ids of tokens (tokenizer.json, learned WordPiece or words, hashed, bytes) or a bag of words',
  options: textOptions,
  columns: textColumns,
  files(options, context) {
    const path = tokenizerPath(options, context)
    return path === undefined ? [] : [path, configPath(path)]
  },
  learn: learnText,
  async prepare(options, learned, context) {
    const tokenizer = await tokenizerOf(options, learned, context)
    return options.output === 'bag'
      ? bagEncoder(options, tokenizer, learned.idf, context)
      : idsEncoder(options, tokenizer, context)
  },
  show(options, _learned, context) {
    const read = textReader(options, context)
    return (row) => ({
      kind: 'text',
      text: read(row)
        .map((words) => words.join(' '))
        .join(' | '),
    })
  },
})
