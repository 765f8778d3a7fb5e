// Labels as the targets of a loss.

/** Writes labels as rows `[labels.length, classes]`, 1 at the label and 0 elsewhere, over what was there. */
export function writeOneHot(labels: Int32Array, classes: number, into: Float32Array): Float32Array {
  into.fill(0)
  for (const [row, label] of labels.entries()) into[row * classes + label] = 1
  return into
}
