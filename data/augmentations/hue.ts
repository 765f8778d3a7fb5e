// The hue of a colour: red, green and blue as a place on the colour circle (Smith 1978).

/**
 * Turns the hue of a colour in place; saturation and the brightest channel stay.
 *
 * @param pixel red, green and blue, each 0..1
 * @param turn in turns of the colour circle: 1 comes back to the same hue
 */
export function hueTurned(pixel: Float64Array, turn: number): void {
  const [red, green, blue] = [pixel[0]!, pixel[1]!, pixel[2]!]
  const most = Math.max(red, green, blue)
  const span = most - Math.min(red, green, blue)
  // Grey has no hue.
  if (span === 0) return
  let sixths: number
  if (most === red) sixths = (green - blue) / span
  else if (most === green) sixths = 2 + (blue - red) / span
  else sixths = 4 + (red - green) / span
  sixths += 6 * turn
  pixel[0] = channel(sixths + 5, most, span)
  pixel[1] = channel(sixths + 3, most, span)
  pixel[2] = channel(sixths + 1, most, span)
}

/** One channel of a hue; red is five sixths ahead, green three, blue one. */
function channel(sixths: number, most: number, span: number): number {
  const place = sixths - 6 * Math.floor(sixths / 6)
  return most - span * Math.max(0, Math.min(place, 4 - place, 1))
}
