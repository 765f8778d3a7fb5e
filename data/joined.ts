// Samples with labels and, behind them, others without.
import { UserError } from '../base/errors.ts'
import type { Dataset } from './dataset.ts'
import { joinStores } from './store.ts'
import { storedDataset, targetColumn } from './stored-dataset.ts'

/**
 * Puts samples without labels behind those of a data set, whose classes, targets and preprocessing hold for all;
 * labels that the added samples have are not taken over, and nothing is copied.
 *
 * Samples of other columns are a {@link UserError}.
 */
export function joined({ recipe, group }: Dataset, added: Dataset): Dataset {
  const { store } = recipe
  const others = new Map(added.recipe.store.columns.map((column) => [column.name, column]))
  const complain = (problem: string): never => {
    throw new UserError(
      `${added.source}: its samples do not go with those of ${recipe.source}: ${problem} — use samples of one form`,
    )
  }
  for (const { name, dtype, shape, ids } of store.columns) {
    // Nobody reads the targets of samples without labels.
    if (name === targetColumn) continue
    const other = others.get(name)
    if (!other) return complain(`'${name}' is missing`)
    const forms = [other, { dtype, shape }].map((column) => `${column.dtype} [${column.shape}]`)
    if (forms[0] !== forms[1]) complain(`'${name}' is ${forms.join(', not ')}`)
    if (other.ids !== ids) complain(`'${name}' has other ids: ${other.ids}, not ${ids}`)
  }
  if (added.group !== group) complain(`groups of ${added.group}, not ${group}`)
  const indices = new Uint32Array(recipe.indices.length + added.size)
  indices.set(recipe.indices)
  const labels = new Int32Array(indices.length).fill(-1)
  labels.set(recipe.labels)
  for (const [place, index] of added.recipe.indices.entries())
    indices[recipe.indices.length + place] = store.size + index
  return storedDataset({
    ...recipe,
    store: joinStores(store, added.recipe.store),
    indices,
    labels,
  })
}
