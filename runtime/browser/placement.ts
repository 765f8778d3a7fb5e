// Which nodes a provider of a browser takes, read from what ONNX Runtime writes while it opens a model.
import { openInBrowser, type PageOptions } from './session.ts'

/** Where nodes were placed. */
export interface NodeCount {
  readonly nodesOnProvider: number
  readonly nodesElsewhere: number
}

/** What onnxruntime-web calls the provider that everything falls back to. */
const fallback = 'CPUExecutionProvider'

/** Opens a model and counts its nodes by who runs them; undefined where ONNX Runtime does not tell. */
export async function countNodes(
  model: Uint8Array,
  options: Omit<PageOptions, 'listen'>,
): Promise<NodeCount | undefined> {
  let lines: readonly string[] = []
  const listen = (said: readonly string[]) => {
    lines = said
  }
  const session = await openInBrowser(model, { ...options, listen })
  await session.dispose()
  return readPlacement(lines)
}

/**
 * Reads ONNX Runtime's list of placements: a line for each provider with its number of nodes, and a line for each node
 * where there are several. Copies between devices are not counted. WebNN compiles many nodes into one, and says before
 * how many it takes.
 */
export function readPlacement(lines: readonly string[]): NodeCount | undefined {
  const all = lines.join('\n')
  const whole = /All nodes placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(all)
  const parts = [...all.matchAll(/Node\(s\) placed on \[(\w+)\]\. Number of nodes: (\d+)/g)]
  const found = whole ? [whole] : parts
  if (found.length === 0) return undefined
  const copies = (all.match(/^.*\bMemcpy(To|From)Host \(.*$/gm) ?? []).length
  const count = (own: boolean) =>
    found.reduce(
      (sum, [, provider, nodes]) => ((provider === fallback) === own ? sum + Number(nodes) : sum),
      0,
    )
  const compiled = /number of nodes supported by WebNN: (\d+)/.exec(all)
  return {
    nodesOnProvider: compiled ? Number(compiled[1]) : Math.max(0, count(false) - copies),
    nodesElsewhere: count(true),
  }
}
