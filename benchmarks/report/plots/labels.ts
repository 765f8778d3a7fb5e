// Places the labels of points so that they cover neither each other nor the points: greedily, best place first.

/** A label with the position of its point, in pixels. */
export interface Label {
  readonly text: string
  readonly x: number
  readonly y: number
}

/** Where a label goes, relative to its point, in pixels. */
export interface Place {
  readonly dx: number
  readonly dy: number
  readonly anchor: 'start' | 'middle' | 'end'
}

/** The place that was chosen, and whether nothing else is there. */
export interface ChosenPlace extends Place {
  readonly free: boolean
}

/** A rectangle, in pixels. */
export interface Box {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** Near places come first: the first one without a collision wins. */
const places: readonly Place[] = [12, 24, 38, 54].flatMap((away): Place[] => [
  { dx: 10, dy: away - 12, anchor: 'start' },
  { dx: -10, dy: away - 12, anchor: 'end' },
  { dx: 10, dy: 12 - away, anchor: 'start' },
  { dx: -10, dy: 12 - away, anchor: 'end' },
  { dx: 0, dy: -away - 4, anchor: 'middle' },
  { dx: 0, dy: away + 4, anchor: 'middle' },
])

/**
 * Chooses a place for every label inside `frame`, in their order.
 *
 * `obstacles` (points, intervals) are avoided too; where nothing is free, the place with the least overlap is taken.
 */
export function placeLabels(
  labels: readonly Label[],
  obstacles: readonly Box[],
  frame: Box,
  fontSize: number,
): ChosenPlace[] {
  const taken = [...obstacles]
  return labels.map((label) => {
    const tried = places.map((place) => {
      const box = boxOf(label, place, fontSize)
      const outside = areaOf(box) - overlap(box, frame)
      const covered = taken.reduce((sum, other) => sum + overlap(box, other), 0)
      return { place, box, cost: covered + 10 * outside }
    })
    const best = tried.reduce((a, b) => (b.cost < a.cost ? b : a))
    taken.push(best.box)
    return { ...best.place, free: best.cost === 0 }
  })
}

/** The width of a text in a common sans-serif font, in pixels, to about a tenth. */
export function textWidth(text: string, fontSize: number): number {
  return text.length * fontSize * 0.56
}

function boxOf({ text, x, y }: Label, { dx, dy, anchor }: Place, fontSize: number): Box {
  const width = textWidth(text, fontSize)
  const start = { start: 0, middle: width / 2, end: width }[anchor]
  const left = x + dx - start
  const top = y + dy - fontSize / 2
  return { left, top, right: left + width, bottom: top + fontSize }
}

const areaOf = (box: Box): number => (box.right - box.left) * (box.bottom - box.top)

function overlap(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left)
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
  return width > 0 && height > 0 ? width * height : 0
}
