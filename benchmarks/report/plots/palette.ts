// Colours of the variants: the hues of Okabe and Ito (2008), each moved as far as it takes to be told from all others
// and from the text with normal vision and without red, green or blue cones, and to have a contrast of 3:1 to the paper.
// A test simulates that.

/** Colours by order of use, on light and on dark paper. */
export const palette: readonly { readonly light: string; readonly dark: string }[] = [
  { light: '#005ca9', dark: '#4b9be1' }, // blue
  { light: '#d86c00', dark: '#f2852b' }, // orange
  { light: '#009e73', dark: '#1fc58f' }, // bluish green
  { light: '#b8578f', dark: '#dc93bd' }, // reddish purple
  { light: '#774326', dark: '#b46202' }, // brown
  { light: '#5083e6', dark: '#91cef5' }, // sky blue
  { light: '#6c5d00', dark: '#f0e442' }, // yellow, olive on light paper
]

/** The CSS colour of a variant by its number in the report; the teacher, 0, has the colour of the text. */
export function seriesColor(series: number): string {
  return series === 0 ? 'var(--ink)' : `var(--series-${((series - 1) % palette.length) + 1})`
}

/** The CSS variables of the palette for one colour scheme. */
export function paletteVariables(scheme: 'light' | 'dark'): string {
  return palette.map((color, index) => `--series-${index + 1}: ${color[scheme]};`).join(' ')
}
