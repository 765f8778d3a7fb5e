// Several models as one that runs them side by side.
import { UserError } from '../../base/errors.ts'
import { cloneModel, copyNodes } from '../clone.ts'
import type { Graph, Model, Value } from '../graph.ts'
import { liftConstants } from './constants.ts'
import { newestOpset, upgradeOpset } from './upgrade.ts'

/**
 * A model that runs others beside the first one: its outputs are those of all models in order.
 *
 * The first model's names stay, those of the others get `peer1/` and so on in front. Inputs of the same name are fed
 * once; other inputs are the first model's at the same place. The opset is raised to the newest; models of several
 * inputs of other names, or of other types, are a {@link UserError}.
 */
export function sideBySide(first: Model, others: readonly Model[], where = 'model'): Model {
  const merged = modern(first, where)
  for (const [index, other] of others.entries()) {
    const name = `peer ${index + 1}`
    const { graph, opsets } = modern(other, name)
    for (const [domain, version] of opsets)
      if ((merged.opsets.get(domain) ?? version) !== version)
        throw new UserError(
          `${name}: another version of the operators '${domain}': ${version}, not ${merged.opsets.get(domain)} — export them alike`,
        )
      else merged.opsets.set(domain, version)
    append(merged.graph, graph, name, `peer${index + 1}/`)
  }
  return merged
}

function append(into: Graph, graph: Graph, where: string, prefix: string): void {
  const copies = new Map<Value, Value>()
  const feeds = into.feeds
  for (const [place, input] of graph.feeds.entries()) {
    const same = feeds.find(({ name }) => name === input.name)
    const shared = same ?? (feeds.length === graph.feeds.length ? feeds[place] : undefined)
    if (!shared || shared.type?.dtype !== input.type?.dtype)
      throw new UserError(
        `${where}: its input '${input.name}' is none of the student's: ${feeds.map(({ name }) => `'${name}'`).join(', ')} — use models with the same inputs`,
      )
    copies.set(input, shared)
  }
  const rename = (name: string) => into.uniqueName(prefix + name)
  for (const value of graph.initializers) {
    const { tensor } = value
    copies.set(value, into.addInitializer(prefix + value.name, tensor!))
  }
  copyNodes(graph.nodes, into, copies, rename)
  for (const output of graph.outputs) into.outputs.push(copies.get(output)!)
}

function modern(model: Model, where: string): Model {
  const copy = cloneModel(model)
  if ((copy.opsets.get('') ?? 0) < newestOpset) upgradeOpset(copy, newestOpset, where)
  liftConstants(copy)
  return copy
}
