// Which channels of the unpruned model are left: by value and axis, so that what two models give can be compared.
import type { Cuts } from '../channels/cut.ts'

/** By the name of a value, by its axis: the indices, before the cut, that remain. Axes that are whole are left out. */
export type KeptChannels = ReadonlyMap<string, ReadonlyMap<number, readonly number[]>>

/** What a cut leaves of the values that flow; to be asked before it is made. */
export function keptChannels(cuts: Cuts): KeptChannels {
  const gone = new Map<string, Map<number, { size: number; indices: Set<number> }>>()
  for (const [{ parts }, channels] of cuts)
    for (const { place, indices } of channels.length > 0 ? parts : []) {
      const { value, axis, size } = place
      if (value.tensor) continue
      const axes = gone.get(value.name) ?? new Map<number, { size: number; indices: Set<number> }>()
      gone.set(value.name, axes)
      const own = axes.get(axis) ?? { size, indices: new Set<number>() }
      axes.set(axis, own)
      for (const channel of channels) for (const index of indices[channel]!) own.indices.add(index)
    }
  return new Map(
    [...gone].map(([name, axes]) => [
      name,
      new Map(
        [...axes].map(([axis, { size, indices }]) => [
          axis,
          Array.from({ length: size }, (_, index) => index).filter((index) => !indices.has(index)),
        ]),
      ),
    ]),
  )
}

/** What two cuts, one after the other, leave. */
export function keptAfter(first: KeptChannels, second: KeptChannels): KeptChannels {
  const names = new Set([...first.keys(), ...second.keys()])
  return new Map(
    [...names].map((name) => {
      const [before, after] = [first.get(name), second.get(name)]
      const axes = new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])
      return [
        name,
        new Map(
          [...axes].map((axis) => {
            const [left, then] = [before?.get(axis), after?.get(axis)]
            return [axis, left && then ? then.map((index) => left[index]!) : (left ?? then ?? [])]
          }),
        ),
      ]
    }),
  )
}
