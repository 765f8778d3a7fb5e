// Features in tests: learned from rows in memory, encoded one row at a time.
import type { z } from 'zod'
import type { Encoder, Feature, FeatureContext } from '../../../data/features/feature.ts'
import type { Row, TableColumn } from '../../../data/table.ts'

/** A feature that has seen training. */
export interface Learned {
  readonly encoder: Encoder
  /** What was learned, as it comes out of a JSON file. */
  readonly learned: unknown
  /** The numbers of the only output for a row. */
  encode(row: Row): Promise<number[]>
}

/** Takes a feature through training as the pipeline does, what it learned through JSON. */
export async function learn<Options extends z.ZodObject, What>(
  feature: Feature<Options, What>,
  options: Omit<z.input<Options>, 'kind'>,
  columns: readonly TableColumn[],
  rows: readonly Row[],
  targets: readonly string[] = [],
): Promise<Learned> {
  const context: FeatureContext = { columns, targets }
  const kind = (feature.options.shape as { kind: z.ZodLiteral<string> }).kind.value
  const parsed = feature.options.parse({ kind, ...options })
  feature.columns(parsed, context)
  const learner = await feature.learn?.(parsed, context)
  for (const row of rows) await learner?.observe(row)
  const learned = JSON.parse(JSON.stringify(learner?.finish() ?? null))
  const encoder = await feature.prepare(parsed, learned as What, context)
  return {
    encoder,
    learned,
    async encode(row) {
      const [{ dtype, shape }] = encoder.outputs as [Encoder['outputs'][number]]
      const size = shape.reduce((product, axis) => product * axis, 1)
      const arrays = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array }
      const memory = new arrays[dtype](size)
      await encoder.encode(row, [memory])
      return [...memory]
    },
  }
}
