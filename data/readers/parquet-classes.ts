// Names of classes, as the Hugging Face Hub writes them into Parquet files.
import type { FileMetaData } from 'hyparquet'
import { z } from 'zod'
import type { Table } from '../table.ts'

const hubMetadata = z.object({
  info: z.object({ features: z.record(z.string(), z.unknown()) }),
})
const classLabel = z.object({ _type: z.literal('ClassLabel'), names: z.array(z.string()).min(1) })

/** Label and classes, where the Hub's metadata has exactly one column of classes. */
export function labelOf(
  metadata: FileMetaData,
  isNumber: (column: string) => boolean,
): Pick<Table, 'label' | 'classes'> {
  const text = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value
  const parsed = hubMetadata.safeParse(parseJson(text))
  if (!parsed.success) return {}
  const found: { label: string; classes: string[] }[] = []
  for (const [label, feature] of Object.entries(parsed.data.info.features)) {
    const names = classLabel.safeParse(feature)
    if (names.success && isNumber(label)) found.push({ label, classes: names.data.names })
  }
  return found.length === 1 ? found[0]! : {}
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null')
  } catch {
    return undefined
  }
}
