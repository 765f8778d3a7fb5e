// The colours of the report, as people see them who lack one kind of cones.
import { describe, expect, it } from '@jest/globals'
import { palette, seriesColor } from '../../benchmarks/report/plots/palette.ts'
import { shapeElement } from '../../benchmarks/report/plots/shapes.ts'
import { styleSheet } from '../../benchmarks/report/style.ts'

type Triple = readonly [number, number, number]
type Matrix = readonly [Triple, Triple, Triple]

/** From linear RGB to what is seen of it: Machado, Oliveira and Fernandes (2009), severity 1. */
const visions: Readonly<Record<string, Matrix>> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
}

const toXyz: Matrix = [
  [0.4124564, 0.3575761, 0.1804375],
  [0.2126729, 0.7151522, 0.072175],
  [0.0193339, 0.119192, 0.9503041],
]

const times = (matrix: Matrix, [r, g, b]: Triple): Triple =>
  matrix.map((row) => row[0] * r + row[1] * g + row[2] * b) as unknown as Triple

const linear = (hex: string): Triple =>
  [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }) as unknown as Triple

/** CIE L*a*b* under D65. */
function lab(rgb: Triple): Triple {
  const [x, y, z] = times(toXyz, rgb)
  const [fx, fy, fz] = [x / 0.95047, y, z / 1.08883].map((t) =>
    t > 216 / 24389 ? Math.cbrt(t) : ((24389 / 27) * t + 16) / 116,
  ) as unknown as Triple
  return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]
}

const seen = (hex: string, vision: Matrix): Triple =>
  lab(times(vision, linear(hex)).map((value) => Math.min(1, Math.max(0, value))) as never)

/** The ratio of the brighter colour to the darker one, as WCAG 2 has it. */
function contrast(a: string, b: string): number {
  const [low, high] = [a, b]
    .map((hex) => times(toXyz, linear(hex))[1] + 0.05)
    .sort((one, other) => one - other)
  return high! / low!
}

/** The values that the style sheet gives to a variable: on light paper, on dark, and printed. */
const valuesOf = (name: string): string[] =>
  [...styleSheet.matchAll(new RegExp(`--${name}: (#[0-9a-f]{3,6})`, 'g'))].map(([, value]) =>
    value!.length === 4 ? value!.replace(/\w/g, '$&$&') : value!,
  )

const [inks, papers, panels] = [valuesOf('ink'), valuesOf('paper'), valuesOf('panel')]
const schemes = { light: 0, dark: 1 } as const

describe.each(Object.entries(schemes) as ['light' | 'dark', number][])('on %s', (name, scheme) => {
  const colors = [inks[scheme]!, ...palette.map((color) => color[name])]
  const grounds = [papers[scheme]!, panels[scheme]!, ...(name === 'light' ? [papers[2]!] : [])]

  it.each(Object.entries(visions))('no two series look alike to %s vision', (_vision, matrix) => {
    const shown = colors.map((color) => seen(color, matrix))
    const distances = shown.flatMap((a, index) =>
      shown.slice(0, index).map((b) => Math.hypot(...a.map((value, axis) => value - b[axis]!))),
    )
    expect(Math.min(...distances)).toBeGreaterThan(15)
  })

  it('every series stands out from the paper', () => {
    for (const color of colors)
      for (const ground of grounds) expect(contrast(color, ground)).toBeGreaterThanOrEqual(3)
  })

  it('every text can be read', () => {
    for (const text of ['ink', 'quiet', 'link', 'good', 'bad'])
      for (const ground of grounds)
        expect(contrast(valuesOf(text)[scheme]!, ground)).toBeGreaterThanOrEqual(4.5)
  })
})

it('a colour that comes again has another shape', () => {
  const looks = Array.from({ length: 40 }, (_, series) => shapeElement(series, seriesColor(series)))
  expect(new Set(looks).size).toBe(40)
})
