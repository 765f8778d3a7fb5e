// Labels as the targets of a loss.

/** Labels of samples that were blended with others. */
export interface MixedLabels {
  /** The label of the other sample. */
  readonly partners: Int32Array
  /** The weight of a sample's own label, 0..1; the other's is the rest. */
  readonly shares: Float32Array
}

/**
 * Writes labels as rows `[labels.length, classes]` over what was there: 1 at the label and 0 elsewhere, nothing but 0
 * where the label is below 0 and does not count, or the shares of two labels where samples were mixed.
 */
export function writeOneHot(
  labels: Int32Array,
  classes: number,
  into: Float32Array,
  mix?: MixedLabels,
): Float32Array {
  into.fill(0)
  for (const [row, label] of labels.entries()) {
    const share = mix?.shares[row] ?? 1
    const partner = mix?.partners[row] ?? -1
    if (label >= 0) into[row * classes + label] = share
    if (partner >= 0) into[row * classes + partner]! += 1 - share
  }
  return into
}
