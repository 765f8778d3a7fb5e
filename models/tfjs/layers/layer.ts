// What a layer of a layers model is: its options in, nodes out.
import { UserError } from '../../../base/errors.ts'
import { shown } from '../model-file.ts'
import type { Term } from '../term.ts'
import type { Writer } from '../writer.ts'
import type { Config, LayerConfig } from './config.ts'

/** One call of a layer; a shared layer has several. */
export interface LayerCall {
  readonly w: Writer
  /** The layer's name, which its nodes and weights have too. */
  readonly name: string
  readonly config: Config
  readonly inputs: readonly Term[]
  /** The first input. */
  readonly x: Term
  /** A weight of the layer by its last name (`kernel`), which must be there. */
  weight(suffix: string): Term
  /** Calls a layer inside this one, a wrapper, under a name of its own. */
  call(name: string, layer: LayerConfig, inputs: readonly Term[]): readonly Term[]
}

/** Writes one call of a layer of one class and gives its outputs. */
export type LayerRule = (call: LayerCall) => Term | readonly Term[]

/** The error for something that a layer may be told but that is not converted. */
export const refused = (
  { w, name }: Pick<LayerCall, 'w' | 'name'>,
  what: string,
  advice = 'leave it out',
): UserError =>
  new UserError(`${w.where}: layer '${name}': not converted: ${shown(what)} — ${advice}`)
