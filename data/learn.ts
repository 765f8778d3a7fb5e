// Features on their way to encoding: what they learn, they learn from the training split alone.
import type { Encoder, FeatureContext, Learner } from './features/feature.ts'
import { featureNamed } from './features/index.ts'
import type { PreparationContext, PreparationOptions } from './prepared.ts'
import { atRow, eachRow } from './rows.ts'
import type { Table } from './table.ts'
import { targetNames } from './targets.ts'

/** What features are told of a table. */
export const featureContext = (
  table: Table,
  { target, modelFolder, folder }: PreparationOptions,
): FeatureContext => ({
  columns: table.columns,
  targets: targetNames(table, target),
  modelFolder,
  folder,
})

/** Features that are ready to encode rows, by position: their names, and what they learned. */
export interface ReadyFeatures {
  readonly encoders: readonly Encoder[]
  readonly names: readonly string[]
  readonly learned: Readonly<Record<string, unknown>>
}

/** Lets features learn from these rows of the training part, and makes them ready. */
export async function readyFeatures(
  table: Table,
  train: Uint32Array,
  options: PreparationOptions,
  world: PreparationContext,
): Promise<ReadyFeatures> {
  const { features, damaged } = options
  const context = featureContext(table, options)
  const entries = Object.entries(features)
  const learners: { readonly name: string; readonly learner: Learner<unknown> }[] = []
  for (const [name, options] of entries) {
    const feature = featureNamed(options.kind)
    feature.columns(options, context)
    const learner = await feature.learn?.(options, context)
    if (learner) learners.push({ name, learner })
  }
  const learned = new Map<string, unknown>()
  if (learners.length > 0) {
    // They are in order.
    const chosen = new Uint8Array((train.at(-1) ?? 0) + 1)
    for (const row of train) chosen[row] = 1
    await eachRow(table.train, 'learning', world, async (row, number) => {
      if (!chosen[number]) return
      for (const { learner } of learners)
        await atRow(table.train, number, damaged, () => learner.observe(row))
    })
    for (const { name, learner } of learners) learned.set(name, learner.finish())
  }
  return {
    encoders: await encodersOf(features, learned, context),
    names: entries.map(([name]) => name),
    learned: Object.fromEntries(learned),
  }
}

/** Makes features ready with what they learned, for rows of these columns and their folder. */
export async function encodersOf(
  features: PreparationOptions['features'],
  learned: ReadonlyMap<string, unknown>,
  context: FeatureContext,
): Promise<Encoder[]> {
  const encoders: Encoder[] = []
  for (const [name, options] of Object.entries(features))
    encoders.push(
      await featureNamed(options.kind).prepare(options, learned.get(name) ?? null, context),
    )
  return encoders
}
