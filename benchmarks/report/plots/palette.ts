// Colours of the variants: the palette of Okabe and Ito (2008), which people of all kinds of colour vision can
// tell apart; strong ones first, each a little darker on light paper or lighter on dark where it needs contrast.

/** Colours by order of use, on light and on dark paper. */
export const palette: readonly { readonly light: string; readonly dark: string }[] = [
  { light: '#0072b2', dark: '#4aa3df' }, // blue
  { light: '#d55e00', dark: '#f07f2e' }, // vermilion
  { light: '#009e73', dark: '#1fbf91' }, // bluish green
  { light: '#b8578f', dark: '#dc93bd' }, // reddish purple
  { light: '#c98700', dark: '#e69f00' }, // orange
  { light: '#3d9bd1', dark: '#8accf2' }, // sky blue
  { light: '#a89b00', dark: '#f0e442' }, // yellow
]

/** The CSS colour of a variant by its number in the report; the teacher, 0, has the colour of the text. */
export function seriesColor(series: number): string {
  return series === 0 ? 'var(--ink)' : `var(--series-${((series - 1) % palette.length) + 1})`
}

/** The CSS variables of the palette for one colour scheme. */
export function paletteVariables(scheme: 'light' | 'dark'): string {
  return palette.map((color, index) => `--series-${index + 1}: ${color[scheme]};`).join(' ')
}
