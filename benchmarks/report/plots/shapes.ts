// Shapes of the variants' points, so that nothing is told by colour alone.

/** What Observable Plot and a canvas draw on. */
interface Pen {
  moveTo(x: number, y: number): void
  lineTo(x: number, y: number): void
  arc(x: number, y: number, radius: number, from: number, to: number): void
  closePath(): void
}

/** Corners of a shape about as large as the circle of radius 1; none for that circle itself. */
type Corners = readonly (readonly [x: number, y: number])[]

const [narrow, wide] = [0.45, 1.25]

const shapes: readonly Corners[] = [
  [], // circle
  // biome-ignore format: a row a shape
  [[-0.89, -0.89], [0.89, -0.89], [0.89, 0.89], [-0.89, 0.89]], // square
  // biome-ignore format: a row a shape
  [[0, -1.4], [1.21, 0.7], [-1.21, 0.7]], // triangle
  // biome-ignore format: a row a shape
  [[0, -1.35], [1.15, 0], [0, 1.35], [-1.15, 0]], // diamond
  // biome-ignore format: a row a shape
  [[0, 1.4], [1.21, -0.7], [-1.21, -0.7]], // triangle that stands on its point
  // biome-ignore format: a row a shape
  [[-narrow, -wide], [narrow, -wide], [narrow, -narrow], [wide, -narrow], [wide, narrow], [narrow, narrow],
   [narrow, wide], [-narrow, wide], [-narrow, narrow], [-wide, narrow], [-wide, -narrow], [-narrow, -narrow]], // cross
]

const cornersOf = (series: number): Corners => shapes[series % shapes.length]!

/** The shape of a variant by its number in the report, as Observable Plot wants it; the teacher, 0, has circles. */
export function seriesShape(series: number): { draw(pen: Pen, size: number): void } {
  return {
    draw(pen, size) {
      const radius = Math.sqrt(size / Math.PI)
      const corners = cornersOf(series)
      if (corners.length === 0) pen.arc(0, 0, radius, 0, 2 * Math.PI)
      for (const [index, [x, y]] of corners.entries())
        if (index === 0) pen.moveTo(x * radius, y * radius)
        else pen.lineTo(x * radius, y * radius)
      pen.closePath()
    },
  }
}

/** The same shape of radius 1 as an SVG element, filled with `color`. */
export function shapeElement(series: number, color: string): string {
  const corners = cornersOf(series)
  return corners.length === 0
    ? `<circle r="1" fill="${color}"/>`
    : `<path d="M${corners.join('L')}Z" fill="${color}"/>`
}
