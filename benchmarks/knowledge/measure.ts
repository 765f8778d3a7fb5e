// What is left of the teacher's knowledge in every model. A model is observed in its own process; what fails costs one measure
// of one model, with its reason.
import { throwIfAborted, UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { CellFailure } from '../cell-process.ts'
import { type Cells, inParallel } from '../cells.ts'
import type { ProviderContext } from '../provider.ts'
import type { Knowledge } from '../report/report.ts'
import { evenlySpread, truthOf } from '../sampling.ts'
import type { Findings } from '../subject.ts'
import { type ChangeName, changeKinds, inputFacts } from './changes.ts'
import { bear, measures } from './measures.ts'
import { type Observed, observe, type Scene, Unmeasured } from './observe.ts'
import type { Bearing } from './robustness.ts'

/** How knowledge is measured. */
export interface KnowledgeOptions {
  /**
   * Test samples, evenly spread, for what needs more than the predictions that there are; 256 unless told, and fewer where the
   * teacher computes more than 23 million multiply-accumulates a sample, down to 32.
   */
  readonly samples?: number | undefined
}

/** Each sample goes through a model some ninety times, a gradient counted as three, so large models get fewer. */
const samplesFor = (macs: number | null): number =>
  Math.max(32, Math.min(256, Math.round(6e9 / Math.max(1, macs ?? 0))))

/**
 * Notes of every model what is left of the teacher's knowledge, or why that cannot be told.
 *
 * `cells` are processes on the CPU. The same samples, seed and files always give the same numbers.
 */
export async function measureKnowledge(
  findings: readonly Findings[],
  cells: Cells,
  context: ProviderContext,
  options: KnowledgeOptions,
): Promise<void> {
  const { data, seed, concurrency, signal, progress } = context
  const most = options.samples ?? samplesFor(findings[0]!.macs)
  const indices = evenlySpread(data, most)
  const { permutation } = random(seed, 'knowledge', 'order')
  // Whole groups would be few, and the samples of one resemble each other.
  const alone = evenlySpread({ size: data.size, group: 1 }, most)
  const shuffled = permutation(alone.length).map((place) => alone[place]!)
  const facts = inputFacts(data, indices)
  const scene = { context, indices, shuffled, truth: truthOf(data, indices), facts }
  const observed = new Map(
    findings.flatMap((found) => {
      const { predictions } = found
      return predictions ? [[found, observe({ ...found, predictions }, cells, scene)] as const] : []
    }),
  )
  const teacher = observed.get(findings[0]!)
  await inParallel(findings, concurrency, async (found) => {
    const { id } = found.subject
    throwIfAborted(signal)
    progress(`${id}: what is left of the teacher's knowledge`, 2)
    const own = observed.get(found)
    found.knowledge = own && teacher ? await knowledgeOf(own, teacher, scene) : null
  })
  throwIfAborted(signal)
}

async function knowledgeOf(own: Observed, teacher: Observed, scene: Scene): Promise<Knowledge> {
  const reasons: Record<string, string> = {}
  const attempt = async <Found>(what: string, find: () => Promise<Found>) => {
    try {
      return await find()
    } catch (thrown) {
      reasons[what] = reasonOf(thrown)
      return null
    }
  }
  const run = <Name extends keyof typeof measures>(name: Name) =>
    attempt(name, () => measures[name](own, teacher, scene))
  const robustness: Record<string, Bearing[] | null> = {}
  for (const name of Object.keys(changeKinds) as ChangeName[])
    robustness[name] = await attempt(name, () => bear(name, own, teacher, scene))
  return {
    samples: scene.indices.length,
    transfer: await run('transfer'),
    calibration: await run('calibration'),
    representation: await run('representation'),
    robustness,
    saliency: await run('saliency'),
    reasons,
  }
}

/** What a process or a measure says in its own words is a reason; anything else is thrown on. */
function reasonOf(thrown: unknown): string {
  const isReason =
    thrown instanceof Unmeasured || thrown instanceof CellFailure || thrown instanceof UserError
  if (isReason) return thrown.message
  throw thrown
}
