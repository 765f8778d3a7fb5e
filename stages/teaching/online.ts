// A teacher that is asked for exactly the batch that the student sees.
import type { Samples } from '../../base/samples.ts'
import type { Batch, Dataset } from '../../data/dataset.ts'
import { predictWith } from '../../runtime/predict.ts'
import { openSession } from '../../runtime/session.ts'
import type { FedBatch } from '../feeding.ts'
import type { StageContext } from '../stage.ts'
import { type Manner, mannerOf, probabilitiesNote, type Respondent, settle } from './answers.ts'
import type { Source } from './source.ts'

/** Opens a teacher that answers when it is asked. */
export async function onlineSource(
  respondent: Respondent,
  data: Dataset,
  batchSize: number,
  context: StageContext,
): Promise<Source> {
  const { threads, provider } = context
  const where = respondent.name
  const session = await openSession(respondent.bytes, { threads, provider, where })
  try {
    const manner = await mannerOf(respondent, session, data, batchSize, context)
    if (manner.probabilities) context.log(probabilitiesNote(respondent))
    return {
      manner,
      async ask(fed) {
        const { batch, indices } = fed as FedBatch // the batches of a stage are made by `feedingOf`
        const { outputs } = await predictWith(session, samplesIn(batch, data), {
          ...{ batch: batch.size, where, outputs: 'all' },
        })
        settle(outputs, batch.size, respondent, manner, (row) => indices[row]!)
        return apart(outputs, manner, batch.size)
      },
      close: () => session.dispose(),
    }
  } catch (thrown) {
    await session.dispose()
    throw thrown
  }
}

/** The samples of a batch as samples of their own. */
export function samplesIn({ columns, size }: Batch, { columns: facts, inputs }: Dataset): Samples {
  return {
    ...{ size, inputs, columns: facts },
    read(index, column, into, offset) {
      const values = columns[column]!
      const width = values.length / size
      into.set(values.subarray(index * width, (index + 1) * width), offset)
    },
  }
}

/** Arrays that lie side by side for each sample, each by itself. */
function apart(all: Float32Array, { widths }: Manner, size: number): readonly Float32Array[] {
  if (widths.length === 1) return [all]
  const total = all.length / size
  let offset = 0
  return widths.map((width) => {
    const values = new Float32Array(size * width)
    for (let row = 0; row < size; row++)
      values.set(all.subarray(row * total + offset, row * total + offset + width), row * width)
    offset += width
    return values
  })
}
