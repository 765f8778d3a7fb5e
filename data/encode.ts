// From rows to records: the tensors of all features side by side, and behind them the target numbers.
import { UserError } from '../base/errors.ts'
import type { Encoder } from './features/feature.ts'
import type { PartName, PreparationContext, PreparedPart } from './prepared.ts'
import { atRow, eachRow } from './rows.ts'
import { layOut, viewsOf } from './store.ts'
import { targetColumn } from './stored-dataset.ts'
import type { Part } from './table.ts'
import type { Targets } from './targets.ts'

/** The records of a part, and which of them are of no use. */
export interface Encoded extends PreparedPart {
  /** Records of rows that could not be read. */
  readonly skipped: ReadonlySet<number>
}

/** Writes every row of a part as one record. */
export async function encodePart(
  name: PartName,
  part: Part,
  {
    names,
    encoders,
    targets,
    damaged,
  }: {
    readonly names: readonly string[]
    readonly encoders: readonly Encoder[]
    readonly targets: Targets
    readonly damaged: 'refuse' | 'skip'
  },
  world: PreparationContext,
): Promise<Encoded> {
  const numbers = targets.numbers(encoders)
  const layout = layOut([
    ...encoders.flatMap(({ outputs }, index) =>
      outputs.map(({ suffix, dtype, shape, ids }) => ({
        name: suffix === '' ? names[index]! : `${names[index]}.${suffix}`,
        dtype,
        shape,
        ...(ids !== undefined && { ids }),
      })),
    ),
    ...(numbers.width > 0
      ? [{ name: targetColumn, dtype: 'float32' as const, shape: [numbers.width] }]
      : []),
  ])
  const writer = world.write(name, layout, part.size)
  const views = viewsOf(layout, writer.record)
  const target = views.at(-1) as Float32Array // the last one, where the width is above 0
  let at = 0
  const memories = encoders.map(({ outputs }) => {
    const memory = views.slice(at, at + outputs.length)
    at += outputs.length
    return memory
  })
  const labels: number[] = []
  const skipped = new Set<number>()
  const { group = 1 } = part
  try {
    await eachRow(part, name, world, async (cells, number) => {
      const done = await atRow(part, number, damaged, async () => {
        labels[number] = targets.label(cells)
        if (numbers.width > 0) numbers.encode(cells, target)
        for (const [index, encoder] of encoders.entries()) {
          const waiting = encoder.encode(cells, memories[index]!)
          if (waiting) await waiting
        }
      })
      if (!done) {
        writer.record.fill(0)
        labels[number] = 0
        // What belongs together is whole or it is nothing.
        const first = number - (number % group)
        for (let member = first; member < first + group; member++) skipped.add(member)
      }
      writer.next()
    })
    const store = writer.finish()
    if (store.size === 0) throw new UserError(`${part.where}: holds no samples — check the file`)
    if (skipped.size === store.size)
      throw new UserError(
        `${part.where}: none of the ${store.size} samples can be read — use damaged: refuse to see why`,
      )
    if (skipped.size > 0)
      world.log(`${part.where}: ${skipped.size} of ${store.size} samples are damaged and left out`)
    return { store, labels: Int32Array.from(labels), group, skipped }
  } catch (thrown) {
    writer.abandon()
    throw thrown
  }
}
