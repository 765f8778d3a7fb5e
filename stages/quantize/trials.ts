// Trying quantization on copies of a model, some nodes of which stay float, and judging what became of its answers.
import { throwIfAborted, UserError } from '../../base/errors.ts'
import { hashOf, sha256 } from '../../base/hash.ts'
import type { Samples } from '../../base/samples.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, constantOf, type Model, type Node, type Value } from '../../onnx/graph.ts'
import { layerName, layersOf } from '../../onnx/layers.ts'
import { serializeModel } from '../../onnx/save.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { withSession } from '../../runtime/session.ts'
import type { Predictions } from '../../tasks/task.ts'
import { answersOf } from '../answers.ts'
import { openMeasurements } from '../measurements.ts'
import { samplesFor } from '../prune/sensitivity.ts'
import type { StageContext } from '../stage.ts'
import { type RecordedRun, recordRuns } from '../verify.ts'
import { withBranches } from './branches.ts'
import { withInterfaceOf } from './float-interface.ts'
import { likenessOf, worstOf } from './noise.ts'
import { quantizationRuleOf } from './operators.ts'
import { activationsOf, type Placement } from './placement.ts'
import { compact, type Prepared } from './prepare.ts'

/** Quantizes a copy of the prepared model in place; the nodes in `excluded` stay float. */
export type Rewrite = (copy: Prepared) => unknown

/** What a scheme treats one by one: layers, or what computes between them as well. */
export type Among = 'layers' | 'layers and arithmetic'

/** Told of a model that is prepared and how it is quantized, gives the nodes that had better stay float. */
export type Chooser = (
  prepared: Prepared,
  rewrite: Rewrite,
  among?: Among,
) => Promise<ReadonlySet<Node>>

/** Something that can be quantized or not. */
export interface Candidate {
  readonly name: string
  readonly opType: string
  readonly node: Node
}

/** Makes models of which some candidates are quantized. */
export interface Trials {
  readonly candidates: readonly Candidate[]
  /** The model with these candidates float and all others quantized, as it would be written. */
  without(float: Iterable<Candidate>): Promise<Model>
}

/** The layers of a model, and the arithmetic between them where it matters, that are not excluded already. */
function candidatesIn({ model, excluded }: Prepared, among: Among): Candidate[] {
  const graphs = withBranches(model.graph)
  const layers = new Set(graphs.flatMap(layersOf).map(({ node }) => node))
  return graphs
    .flatMap(({ nodes }) => nodes)
    .filter((node) => !excluded.has(node))
    .filter(
      (node) =>
        layers.has(node) || (among !== 'layers' && quantizationRuleOf(node)?.kind === 'arithmetic'),
    )
    .map((node) => ({ name: layerName(node), opType: node.opType, node }))
}

/** Gets ready to try a way to quantize. */
export function openTrials(
  prepared: Prepared,
  rewrite: Rewrite,
  among: Among = 'layers and arithmetic',
): Trials {
  const { model, excluded } = prepared
  return {
    candidates: candidatesIn(prepared, among),
    async without(float) {
      const copy = cloneModel(model)
      const copies = [...allNodes(copy.graph)]
      const out = new Set([...excluded, ...[...float].map(({ node }) => node)])
      const kept = [...allNodes(model.graph)].flatMap((node, index) =>
        out.has(node) ? [copies[index]!] : [],
      )
      try {
        await rewrite({ ...prepared, model: copy, excluded: new Set(kept) })
      } catch (thrown) {
        // With all candidates it went well, so there is only nothing left to quantize.
        if (out.size === excluded.size || !(thrown instanceof UserError)) throw thrown
        return cloneModel(model)
      }
      compact(copy)
      return copy
    },
  }
}

/** What became of a model's answers. */
export interface Damage {
  /** Signal over noise of the output that suffers most, dB; 200 where there is no noise, -200 where nothing is left. */
  readonly sqnrDb: number
  /** Cosine similarity of the output where it is lowest. */
  readonly cosine: number
  /** What it is with 95 % confidence, or more, on samples like those that were compared. */
  readonly sureCosine: number
  /** The task's main figure; null without data. */
  readonly score: number | null
  /** Mean KL(float ‖ quantized), nats; null without data, or where the task has no distributions. */
  readonly divergence: number | null
}

/** Decibels that can be written down. */
const mostDb = 200

/** A model to compare with, and what it is compared on. */
export interface Judge {
  /** The name of the task's main figure, and what the float model has of it; undefined without data. */
  readonly figure: { readonly metric: string; readonly score: number } | undefined
  /** The samples of the figure. */
  readonly samples: {
    readonly count: number
    readonly split: 'validation' | 'calibration' | 'random'
  }
  /** What the model is fed with when it is timed; undefined where it refuses random numbers. */
  readonly feeds: Tensors | undefined
  /** Judges a model; what was judged before is not run again. */
  judge(model: Model): Promise<Damage>
}

/** What answers are compared on besides the figure: as many samples as the stage's own check takes. */
const compared = { samples: 64, runs: 64 } as const

/** Parts of the samples, each a run, by whose differences it is known how sure a likeness is. */
const parts = 8

/**
 * Runs a float model, so that others can be judged by it; the figure is measured only where it is `wanted` and there is
 * data, for it needs many more samples.
 */
export async function openJudge(
  float: Model,
  context: StageContext,
  where: string,
  wanted: 'figure' | 'likeness',
): Promise<Judge> {
  const { threads, provider, seed, task, shared, data, signal } = context
  const session = { threads, provider, where }
  const calibration: Samples | undefined = data?.calibration
  const size = Math.min(compared.samples, calibration?.size ?? 1)
  const batch = Math.max(1, Math.ceil(size / parts))
  const runs = await withSession(float, session, (open) =>
    recordRuns(open, calibration, { ...compared, batch, seed, where }),
  )
  const one = await withSession(float, session, (open) =>
    recordRuns(open, calibration, { samples: 1, batch: 1, runs: 1, seed, where }),
  )
  const measured = wanted === 'figure' && data ? samplesFor(context) : undefined
  const { outputs } = task
  const own = measured && (await answersOf(float, measured.samples, context, { outputs }))
  const about = {
    model: sha256(serializeModel(float)),
    runs: hashOf(runs.map(({ feeds }) => Object.values(feeds).map(({ bytes }) => sha256(bytes)))),
    samples: measured && [measured.samples.fingerprint, measured.samples.size],
    ...{ task: task.summary, provider },
  }
  const remember = openMeasurements<Damage>(
    'quantization',
    about,
    shared,
    ({ sureCosine }) => sureCosine !== undefined,
  )
  const figure = measured && own && task.evaluate(own, measured.samples, own).accuracy
  return {
    figure: figure && { metric: figure.metric, score: figure.value },
    samples: measured
      ? { count: measured.samples.size, split: measured.split }
      : { count: runs.length, split: data ? 'calibration' : 'random' },
    feeds: one[0]?.feeds,
    async judge(model) {
      throwIfAborted(signal)
      const comparable = withInterfaceOf(float, model)
      return await remember(sha256(serializeModel(model)), async () => ({
        ...(await likenessWith(runs, comparable, session)),
        ...(await figureOf(comparable)),
      }))
    },
  }

  async function figureOf(model: Model): Promise<Pick<Damage, 'score' | 'divergence'>> {
    if (!measured) return { score: null, divergence: null }
    const answers = await answersOf(model, measured.samples, context, { outputs })
    return {
      score: task.evaluate(answers, measured.samples, own as Predictions).accuracy.value,
      divergence: task.retain(own as Predictions, answers, measured.samples).klDivergence,
    }
  }
}

async function likenessWith(
  runs: readonly RecordedRun[],
  model: Model,
  session: Parameters<typeof withSession>[1],
): Promise<Pick<Damage, 'sqnrDb' | 'cosine' | 'sureCosine'>> {
  const found: Tensors[] = []
  await withSession(model, session, async (open) => {
    for (const { feeds } of runs) found.push(await open.run(feeds))
  })
  const likeness = likenessOf(
    runs.map(({ results }) => results),
    found,
  )
  const worst = worstOf(likeness)?.sqnrDb ?? mostDb
  return {
    sqnrDb: Math.min(mostDb, Math.max(-mostDb, worst)),
    cosine: Math.min(1, ...[...likeness.values()].map(({ cosine }) => cosine)),
    sureCosine: Math.min(1, ...[...likeness.values()].map(({ sureCosine }) => sureCosine)),
  }
}

/** The values whose ranges static quantization may need, whatever part of what was placed stays float. */
export function valuesToTry({ nodes, merged }: Placement): readonly Value[] {
  const all = [...nodes].flatMap((node) => [...activationsOf(node), ...node.outputs])
  const clipped = [...merged.keys()].flatMap((node) => node.outputs)
  const values = [...all, ...clipped].filter((value) => value !== undefined)
  return [...new Set(values)].filter((value) => !constantOf(value))
}

/** What the nodes of a quantized model are called in messages, before their outputs get short names. */
export const namesIn = ({ graph }: Model): ReadonlyMap<Node, string> =>
  new Map(graph.nodes.map((node) => [node, node.name || nameOfResult(node)]))

/** The output of a node that is quantized where it is made has its name behind the pair. */
function nameOfResult(node: Node): string {
  const [output] = node.outputs
  const [user] = output?.users ?? []
  const isPair = user?.opType === 'QuantizeLinear' || user?.opType === 'DequantizeLinear'
  return isPair && output?.users.size === 1 ? nameOfResult(user) : layerName(node)
}
