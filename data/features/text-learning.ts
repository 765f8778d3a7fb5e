// What a text feature learns of the training split, and the tokenizer that comes of it.
import { join, resolve } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { basicWords } from '../text/basic.ts'
import { wordCounter } from '../text/counts.ts'
import { readTokenizer } from '../text/file.ts'
import {
  byteTokenizer,
  hashedTokenizer,
  specialTokens,
  wordPieceTokenizer,
  wordTokenizer,
} from '../text/learned.ts'
import { wordNgrams } from '../text/ngrams.ts'
import type { TextOptions } from '../text/options.ts'
import type { TextTokenizer } from '../text/tokenizer.ts'
import { learnWordPiece } from '../text/wordpiece.ts'
import type { FeatureContext, Learner } from './feature.ts'
import { textReader } from './text-cells.ts'
import { idsOf } from './text-encoders.ts'

/** What was learned of texts: JSON. */
export interface LearnedText {
  /** Pieces or words in the order of their ids. */
  readonly vocabulary?: readonly string[]
  /** Weight of each id: ln((1 + texts) / (1 + texts with it)) + 1. */
  readonly idf?: readonly number[]
  /** SHA-256 of the tokenizer's file. */
  readonly tokenizer?: string
}

function hasSpecial({ specialTokens: told, tokenizer, columns }: TextOptions): boolean {
  if (told !== undefined) return told
  if (columns !== undefined) return true
  return tokenizer === 'model' || 'file' in tokenizer || tokenizer.kind === 'wordpiece'
}

/** The path of the tokenizer's file, where it has one. */
export function tokenizerPath(
  { tokenizer }: TextOptions,
  context: FeatureContext,
): string | undefined {
  if (tokenizer === 'model') {
    if (context.modelFolder === undefined)
      throw new UserError(
        "data.features: text: tokenizer: the model lies in no folder: 'model' — name the file (tokenizer: { file: … })",
      )
    return join(context.modelFolder, 'tokenizer.json')
  }
  return 'file' in tokenizer ? resolve(tokenizer.file) : undefined
}

/** The tokenizer that options and what was learned make; a file that has changed since is a {@link UserError}. */
export async function tokenizerOf(
  options: TextOptions,
  learned: LearnedText,
  context: FeatureContext,
): Promise<TextTokenizer> {
  const { tokenizer } = options
  const special = hasSpecial(options)
  const path = tokenizerPath(options, context)
  if (path !== undefined) {
    const file = await readTokenizer(path)
    if (learned.tokenizer !== undefined && learned.tokenizer !== file.sha256)
      throw new UserError(
        `${path}: not the file that the data were prepared with: SHA-256 ${file.sha256} — put the old one back, or prepare the data anew`,
      )
    if (special) return file.tokenizer
    const bare = (slots: TextTokenizer['pair']) => slots.filter((slot) => 'text' in slot)
    return {
      ...file.tokenizer,
      single: bare(file.tokenizer.single),
      pair: bare(file.tokenizer.pair),
    }
  }
  if (tokenizer === 'model' || 'file' in tokenizer) throw new Error('internal: a file was expected')
  switch (tokenizer.kind) {
    case 'byte':
      return byteTokenizer({ special })
    case 'hashed':
      return hashedTokenizer({ ...tokenizer, special })
    case 'word':
      return wordTokenizer(vocabularyOf(learned), { ...tokenizer, special })
    case 'wordpiece':
      return wordPieceTokenizer(vocabularyOf(learned), { ...tokenizer, special })
  }
}

function vocabularyOf({ vocabulary }: LearnedText): readonly string[] {
  if (vocabulary === undefined) throw new Error('internal: no vocabulary was learned')
  return vocabulary
}

/** Counts words, or in how many texts each id occurs, or takes note of the tokenizer's file. */
export async function learnText(
  options: TextOptions,
  context: FeatureContext,
): Promise<Learner<LearnedText>> {
  const { tokenizer } = options
  const read = textReader(options, context)
  const weighs = options.output === 'bag' && options.weights === 'tfidf'
  if (
    tokenizer === 'model' ||
    'file' in tokenizer ||
    'buckets' in tokenizer ||
    tokenizer.kind === 'byte'
  ) {
    const path = tokenizerPath(options, context)
    const digest = path === undefined ? {} : { tokenizer: (await readTokenizer(path)).sha256 }
    if (!weighs) return { observe: () => undefined, finish: () => digest }
    const ready = await tokenizerOf(options, {}, context)
    const seen = documentCounts(ready.size)
    return {
      observe: (row) => seen.add(idsOf(ready, read(row), options).flat(2)),
      finish: () => ({ ...digest, idf: seen.idf() }),
    }
  }
  if (weighs && tokenizer.kind === 'wordpiece')
    throw new UserError(
      "data.features: text: weights: not for pieces that are still to be learned: 'tfidf' — use tokenizer kind word or hashed",
    )
  const counter = wordCounter()
  const lengths = tokenizer.kind === 'word' ? tokenizer.ngrams : [1]
  return {
    observe(row) {
      counter.add(
        read(row).flatMap((texts) =>
          texts.flatMap((one) => wordNgrams(basicWords(one, tokenizer.lowercase), lengths)),
        ),
      )
    },
    finish() {
      if (tokenizer.kind === 'wordpiece')
        return { vocabulary: learnWordPiece(counter.sorted(1), specialTokens, tokenizer) }
      const kept = counter
        .sorted(tokenizer.minimumCount)
        .slice(0, tokenizer.size - specialTokens.length)
      const vocabulary = [...specialTokens, ...kept.map(({ word }) => word)]
      if (!weighs) return { vocabulary }
      const idf = kept.map(({ documents }) => inverseFrequency(documents, counter.documents))
      return { vocabulary, idf: [...specialTokens.map(() => 0), ...idf] }
    },
  }
}

const inverseFrequency = (withIt: number, documents: number) =>
  Math.log((1 + documents) / (1 + withIt)) + 1

/** In how many texts each id occurs. */
function documentCounts(size: number) {
  const counts = new Uint32Array(size)
  let documents = 0
  return {
    add(ids: readonly number[]) {
      documents++
      for (const id of new Set(ids)) counts[id]!++
    },
    idf: () => Array.from(counts, (count) => inverseFrequency(count, documents)),
  }
}
