// What a criterion is: how it scores channels, how it scores weights, and what it has to know for that.
import type { Group } from '../../../channels/groups.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import type { StageContext } from '../../stage.ts'
import type { AggregateName } from '../aggregate.ts'
import type { NormaliseName } from '../normalise.ts'
import type { ScopeName } from '../rank.ts'
import type { Unit } from '../units.ts'

/** Numbers by the name of the initializer, one for each of its elements. */
export type Companions = ReadonlyMap<string, Float32Array>

/** What a criterion has to know besides the weights. */
export type Need = 'nothing' | 'gradients' | 'activations' | 'training'

/** What criteria of any structure are given. */
export interface Evidence {
  /** How many samples are looked at. */
  readonly samples: number
  readonly context: StageContext
  /** What a training has accumulated (see `movement`). */
  readonly movement?: Companions | undefined
}

/** Channels that are to be scored. */
export interface ChannelSubject extends Evidence {
  readonly groups: readonly Group[]
  /** The model of the groups as it is fed: same values, by name, with the batch free. */
  readonly model: Model
  readonly aggregate: AggregateName
}

/** Weights that are to be scored: float32 initializers of the model. */
export interface WeightSubject extends Evidence {
  readonly values: readonly Value[]
  readonly model: Model
}

/** Gives the score of every channel of the groups. */
export type ScoreChannels = (
  subject: ChannelSubject,
) => Promise<Map<Group, Float64Array>> | Map<Group, Float64Array>

/** Gives the score of every element of the weights. */
export type ScoreWeights = (
  subject: WeightSubject,
) => Promise<Map<Value, Float32Array>> | Map<Value, Float32Array>

/** Whole layers that are to be scored. */
export interface UnitSubject extends Evidence {
  readonly units: readonly Unit[]
  /** The model of the units as it is fed: same values, by name, with the batch free. */
  readonly model: Model
}

/** Gives the score of every unit. */
export type ScoreUnits = (subject: UnitSubject) => Promise<Map<Unit, number>> | Map<Unit, number>

/** What makes a channel, a weight or a whole layer unimportant; the smallest scores go first. */
export interface Criterion {
  /** One line, with its source. */
  readonly summary: string
  readonly needs: Need
  /** True where the scores of all layers have one unit; else groups are divided by their means before they are compared. */
  readonly comparable: boolean
  /** The score of every channel; absent where channels cannot be scored. */
  readonly channels?: ScoreChannels
  /** The score of every element; absent where single weights cannot be scored. */
  readonly weights?: ScoreWeights
  /** The score of every unit; absent where whole layers cannot be scored. */
  readonly units?: ScoreUnits
  /** How scores are normalised unless told; otherwise `comparable` says. */
  readonly normalise?: NormaliseName
  /** How weights are compared unless told; otherwise over the whole model. */
  readonly scope?: ScopeName
  /** How many samples are looked at unless told; otherwise 512. */
  readonly samples?: number
}
