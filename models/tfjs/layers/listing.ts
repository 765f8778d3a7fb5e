// Reads a model's config: its layers, the calls between them, and the models inside.
import { UserError } from '../../../base/errors.ts'
import { plainName } from '../model-file.ts'
import { configOf, type LayerConfig, layerConfigOf } from './config.ts'
import { layerRules } from './table.ts'

/** Classes that are models: layers with layers of their own. */
export const containers: ReadonlySet<string> = new Set(['Sequential', 'Model', 'Functional'])

/** More models or wrappers inside each other are no real model. */
export const deepest = 32

/** Every class without a rule, with the first layer of it. */
export function* unknownClasses(model: LayerConfig, where: string): Generator<string> {
  const seen = new Set<string>()
  const listed = (layer: LayerConfig, depth: number) => {
    if (depth > deepest) throw tooMuch(where, `models inside models, deeper than ${deepest}`)
    return layersOf(layer, where).map((each) => ({ layer: each, depth }))
  }
  const pending = listed(model, 1)
  for (let next = pending.shift(); next; next = pending.shift()) {
    const { layer, depth } = next
    const { className, name } = layer
    if (containers.has(className)) pending.push(...listed(layer, depth + 1))
    else if (className !== 'InputLayer' && !layerRules.has(className) && !seen.has(className)) {
      seen.add(className)
      yield `${className} ('${name}')`
    }
  }
}

/** The error for a model that is built to use up everything. */
export const tooMuch = (where: string, what: string): UserError =>
  new UserError(`${where}: not converted: ${what} — give a plainer model`)

/** One layer in a model's list. */
export interface Listed extends LayerConfig {
  readonly name: string
  readonly inbound: unknown
}

/** The layers in a model's list, in order. */
export function layersOf({ config }: LayerConfig, where: string): Listed[] {
  const layers = config.raw('layers')
  if (!Array.isArray(layers))
    throw new UserError(`${where}: a model without layers — save the model again`)
  return layers.map((each, index) => {
    const here = `${where}: layer ${index}`
    if (typeof each !== 'object' || each === null) throw new UserError(`${here}: no layer`)
    const layer = layerConfigOf(each, here)
    const outer = configOf(each, here)
    const name = outer.raw('name') ?? layer.config.raw('name')
    if (!plainName.safeParse(name).success || typeof name !== 'string')
      throw new UserError(`${here}: no name: ${JSON.stringify(name)?.slice(0, 80)}`)
    return { ...layer, name, inbound: outer.raw('inbound_nodes') }
  })
}

/** A call of a layer: which outputs of which calls it takes. */
export type Reference = readonly [layer: string, call: number, output: number]

/** Reads `[[name, call, output], …]`, or one of them alone. */
export function references(list: unknown, where: string): Reference[] {
  const all = Array.isArray(list) && typeof list[0] === 'string' ? [list] : list
  if (!Array.isArray(all)) throw new UserError(`${where}: no list of inputs or outputs`)
  return all.map((each) => reference(each, where))
}

function reference(each: unknown, where: string): Reference {
  const [name, call, output] = Array.isArray(each) ? each : []
  if (typeof name !== 'string' || !Number.isInteger(call) || !Number.isInteger(output))
    throw new UserError(
      `${where}: no reference to a layer: ${JSON.stringify(each)?.slice(0, 80)} — save the model in the format of Keras 2`,
    )
  return [name, call, output]
}

/** Arguments of a call that say nothing of inference. */
const idle: ReadonlySet<string> = new Set(['training', 'mask', 'name'])

/** What each call of a layer takes. */
export function inboundOf({ name, inbound }: Listed, where: string): Reference[][] {
  if (!Array.isArray(inbound)) throw new UserError(`${where}: layer '${name}': no inbound_nodes`)
  return inbound.map((from) => {
    if (!Array.isArray(from))
      throw new UserError(
        `${where}: layer '${name}': inbound_nodes of another format — save the model in the format of Keras 2`,
      )
    return from.map((each) => {
      const more = Array.isArray(each) ? Object.entries(each[3] ?? {}) : []
      const used = more.find(([key, value]) => value !== null && !idle.has(key))
      if (used)
        throw new UserError(
          `${where}: layer '${name}': not converted: a call with '${used[0]}' — pass it as an input`,
        )
      return reference(each, where)
    })
  })
}
