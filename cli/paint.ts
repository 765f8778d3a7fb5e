// Colours on a terminal.

const codes = { bold: [1, 22], dim: [2, 22], green: [32, 39], red: [31, 39] } as const

/** The name of a way to set text apart. */
export type Colour = keyof typeof codes

/** Colours a text where stderr is a terminal and NO_COLOR (no-color.org) is not set. */
export function paint(text: string, colour: Colour): string {
  if (!process.stderr.isTTY || process.env.NO_COLOR) return text
  const [on, off] = codes[colour]
  return `\u001b[${on}m${text}\u001b[${off}m`
}
