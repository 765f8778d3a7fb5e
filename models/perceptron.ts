// Hidden fully connected layers, as several architectures have them.
import type { Activation } from './activations.ts'
import type { Feature, Layers } from './layers.ts'

/** What stands behind each layer. */
export interface PerceptronOptions {
  readonly activation: Activation
  /** BatchNormalization before the activation (Ioffe and Szegedy 2015, section 3.2). */
  readonly normalisation: boolean
  /** Share that is dropped behind the activation (Srivastava et al. 2014). */
  readonly dropout: number
}

/** Layers `name1`, `name2`, … of the given widths on a row. */
export function perceptron(
  layers: Layers,
  name: string,
  row: Feature,
  widths: readonly number[],
  { activation, normalisation, dropout }: PerceptronOptions,
): Feature {
  let x = row
  for (const [index, width] of widths.entries()) {
    x = layers.linear(`${name}${index + 1}`, x, width)
    if (normalisation) x = layers.normalisation(`${name}${index + 1}.norm`, x)
    x = layers.dropout(layers.activation(x, activation), dropout)
  }
  return x
}
