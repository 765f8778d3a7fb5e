// Splitting a text into words the way BERT does (Devlin et al. 2019, "basic tokenization").

/** Tabs and line ends are spaces; other control, format and private characters say nothing. */
const ignored = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\uFFFD]/gu

// Every punctuation mark and every Chinese character is a word of its own.
const marks = '\\p{P}!-\\/:-@\\[-`\\{-~'
const chinese =
  '\\u{4E00}-\\u{9FFF}\\u{3400}-\\u{4DBF}\\u{20000}-\\u{2A6DF}\\u{2A700}-\\u{2B73F}' +
  '\\u{2B740}-\\u{2B81F}\\u{2B820}-\\u{2CEAF}\\u{F900}-\\u{FAFF}\\u{2F800}-\\u{2FA1F}'
const words = new RegExp(`[${marks}${chinese}]|[^\\p{White_Space}${marks}${chinese}]+`, 'gu')

/** Replaces halves of surrogate pairs, which no encoding has, by U+FFFD. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Cs}/gu, '\uFFFD')
}

/**
 * The words of a text: split at spaces, around every punctuation mark and every Chinese character.
 *
 * Control characters and halves of surrogate pairs are dropped. `lowercase` also strips accents, as BERT's uncased
 * models do; each letter is lowered by itself, so that a closing sigma is like any other.
 */
export function basicWords(text: string, lowercase: boolean): string[] {
  let clean = wellFormed(text).replace(ignored, '')
  if (lowercase)
    clean = clean
      .normalize('NFD')
      .replace(/\p{Mn}/gu, '')
      .replaceAll('Σ', 'σ')
      .toLowerCase()
  return clean.match(words) ?? []
}
