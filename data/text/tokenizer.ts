// What turns a text into numbers, whichever way, and how the numbers are laid out in a fixed length.

/** One position, or a run of them, of what a model reads: a special token, or the tokens of a text. */
export type Slot =
  | { readonly special: number; readonly type: number }
  | { readonly text: 0 | 1; readonly type: number }

/** Which end of a text. */
export type Side = 'left' | 'right'

/** A tokenizer made ready. */
export interface TextTokenizer {
  /** How many different ids there are. */
  readonly size: number
  /** The id that fills what is left over. */
  readonly pad: number
  /** The id of what is unknown, where there is one: it is no term of a bag of words. */
  readonly unknown?: number | undefined
  /** The ids of a text, special ones not among them. */
  ids(text: string): readonly number[]
  /** What stands around one text, and around two. */
  readonly single: readonly Slot[]
  readonly pair: readonly Slot[]
  /** Whether models of this tokenizer take `token_type_ids` for one text too. */
  readonly typed: boolean
  /** Where padding is added and where tokens are cut off, unless the recipe says so. */
  readonly paddingSide: Side
  readonly truncationSide: Side
}

/** The slots of tokenizers with one beginning and one separator, as BERT's: [CLS] a [SEP] b [SEP]. */
export function bertSlots(cls: number, sep: number): Pick<TextTokenizer, 'single' | 'pair'> {
  const single: Slot[] = [
    { special: cls, type: 0 },
    { text: 0, type: 0 },
    { special: sep, type: 0 },
  ]
  return { single, pair: [...single, { text: 1, type: 1 }, { special: sep, type: 1 }] }
}

/** The slots of a text without anything around it. */
export const bareSlots: Pick<TextTokenizer, 'single' | 'pair'> = {
  single: [{ text: 0, type: 0 }],
  pair: [
    { text: 0, type: 0 },
    { text: 1, type: 1 },
  ],
}

/** How much room there is and at which side it is left over or cut. */
export interface Layout {
  readonly length: number
  readonly paddingSide: Side
  readonly truncationSide: Side
}

/** Texts laid out: as many entries as there are tokens, at most the length; padding is not among them. */
export interface Laid {
  readonly ids: readonly number[]
  readonly types: readonly number[]
  /** The number of each token within the first text; -1 for others. */
  readonly sources: readonly number[]
  /** Where the first entry stands in the fixed length. */
  readonly start: number
}

/**
 * Cuts texts to what fits between special tokens and says where everything stands.
 *
 * Of two texts the longer one is cut first (`longest_first` in Hugging Face's tokenizers).
 */
export function layOut(
  slots: readonly Slot[],
  texts: readonly (readonly number[])[],
  { length, paddingSide, truncationSide }: Layout,
): Laid {
  const specials = slots.filter((slot) => 'special' in slot).length
  const kept = keptLengths(
    texts.map((text) => text.length),
    Math.max(0, length - specials),
  )
  const ids: number[] = []
  const types: number[] = []
  const sources: number[] = []
  for (const slot of slots) {
    if ('special' in slot) {
      ids.push(slot.special)
      types.push(slot.type)
      sources.push(-1)
      continue
    }
    const text = texts[slot.text]!
    const count = kept[slot.text]!
    const from = truncationSide === 'right' ? 0 : text.length - count
    for (let at = from; at < from + count; at++) {
      ids.push(text[at]!)
      types.push(slot.type)
      sources.push(slot.text === 0 ? at : -1)
    }
  }
  return { ids, types, sources, start: paddingSide === 'left' ? length - ids.length : 0 }
}

/** What is kept of one or two texts; of two, the shorter one is whole as long as it takes no more than half. */
function keptLengths(lengths: readonly number[], room: number): number[] {
  const [first = 0, second] = lengths
  if (second === undefined) return [Math.min(first, room)]
  if (first + second <= room) return [first, second]
  const shorter = Math.min(first, second, Math.floor(room / 2))
  return first <= second ? [shorter, room - shorter] : [room - shorter, shorter]
}
