// The ways in which each layer can be factorised so that it gets smaller.
import { throwIfAborted } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import type { StageContext } from '../stage.ts'
import { type Candidate, type Choice, losingAtMost, within } from './choose.ts'
import { type Method, type Moments, type Opened, type Ranks, ranksAt, rounded } from './method.ts'
import { type MethodName, methodNames, methods } from './methods.ts'
import type { FactorizeOptions } from './options.ts'
import type { Left, Unit } from './units.ts'

/** Layers larger than this are not worked out rank by rank unless the method is asked for by name. */
const largestChallenge = 2 ** 16

/** Linear layers smaller than this are no trains unless that is asked for by name. */
const smallestTrain = 2 ** 16

/** A layer with its choices, and the iterative methods that are tried at the size that is chosen in the end. */
export interface Prospect extends Candidate {
  readonly challengers: readonly { readonly name: MethodName; readonly opened: () => Opened }[]
}

/** Opens layers by all methods that go with them; says of those that none makes smaller why they stay. */
export async function prospectsOf(
  units: readonly Unit[],
  options: FactorizeOptions,
  moments: ReadonlyMap<Unit, readonly Moments[]>,
  context: StageContext,
): Promise<{ readonly prospects: Prospect[]; readonly left: Left[] }> {
  const prospects: Prospect[] = []
  const left: Left[] = []
  for (const [index, unit] of units.entries()) {
    throwIfAborted(context.signal)
    // Decompositions take seconds where layers are large; let timers and signals have their turn.
    await new Promise(setImmediate)
    const found = prospectOf(unit, options, moments.get(unit), context.seed)
    if (typeof found === 'string')
      left.push({ name: unit.name, opType: unit.opType, reason: found })
    else prospects.push(found)
    context.progress({ done: (0.5 * (index + 1)) / units.length })
  }
  return { prospects, left }
}

function prospectOf(
  unit: Unit,
  options: FactorizeOptions,
  outputs: readonly Moments[] | undefined,
  seed: number,
): Prospect | string {
  const asked = options.method === 'auto' ? undefined : [options.method].flat()
  const reasons: string[] = []
  const rows = (asked ?? automatic(unit, options)).flatMap((name) => {
    const method: Method = methods[name]
    const reason = method.refuses(unit)
    if (reason !== undefined) reasons.push(`${name}: ${reason}`)
    const opened = once(() =>
      withBias(
        method.open(unit, { random: random(seed, 'factorize', unit.name, name), outputs }),
        outputs?.[0]?.mean ? newBiases(unit) : 0,
      ),
    )
    return reason === undefined ? [{ name, method, opened }] : []
  })
  if (rows.length === 0) return reasons.join('; ') || 'there is no method for it'
  const direct = rows.filter(({ method }) => !method.iterative)
  const [usual, challenging] =
    direct.length > 0 ? [direct, rows.filter((row) => !direct.includes(row))] : [rows, []]
  const choices = smaller(unit, usual, options)
  if (typeof choices === 'string') return choices
  return { unit, choices, challengers: challenging.map(({ name, opened }) => ({ name, opened })) }
}

/** The methods that `auto` has for a layer: none that another one always beats, none that would take too long. */
function automatic(unit: Unit, { fit }: FactorizeOptions): MethodName[] {
  return methodNames.filter((name) => {
    const { fitsOutputs, iterative, refuses }: Method = methods[name]
    if (fit === 'outputs' && !fitsOutputs) return false
    if (name === 'nmf' || (name === 'tensor-train' && unit.parameters < smallestTrain)) return false
    return refuses(unit) === undefined && (!iterative || unit.parameters <= largestChallenge)
  })
}

/** Parameters of the biases that nodes get which have none. */
const newBiases = ({ nodes, outputs, ...rest }: Unit): number =>
  nodes.filter((node) => !node.inputs[2]).length * outputs * ('groups' in rest ? rest.groups : 1)

const withBias = (opened: Opened, parameters: number): Opened => ({
  ...opened,
  cost: (ranks) => {
    const cost = opened.cost(ranks)
    return { ...cost, parameters: cost.parameters + parameters }
  },
})

interface Row {
  readonly name: MethodName
  readonly method: Method
  readonly opened: () => Opened
}

/** The choices by these methods that cost less than the layer, or why there is none. */
function smaller(unit: Unit, rows: readonly Row[], options: FactorizeOptions): Choice[] | string {
  const { rank, energy, round } = options
  if (rank !== undefined) return atRank(unit, rows, rank, round)
  const all = rows.flatMap((row) => ladderOf(unit, row, round))
  if (all.length === 0)
    return `no rank${round > 1 ? ` that is a multiple of ${round}` : ''} makes it smaller`
  if (energy === undefined) return all
  const found = losingAtMost(all, 1 - energy)
  return found ? [found] : `it would be larger at ${energy} of its energy`
}

/** The first method's ranks say how large the layer becomes; another method may lose less at that size. */
function atRank(
  unit: Unit,
  rows: readonly Row[],
  rank: number | 'vbmf',
  round: number,
): Choice[] | string {
  const first = rows.find((row) => rank !== 'vbmf' || row.opened().significant)
  if (!first) return `vbmf does not go with ${rows.map(({ name }) => name).join(', ')}`
  const opened = first.opened()
  const wanted = rank === 'vbmf' ? opened.significant!() : ranksAt(opened, rank)
  const ranks = rounded(opened, wanted, round)
  if (!isSmaller(unit, { cost: opened.cost(ranks) }))
    return `it would be larger at rank ${ranks.join(' and ')}`
  const own = choiceOf(first.name, opened, ranks)
  const others = rows.flatMap((row) => (row === first ? [] : ladderOf(unit, row, round)))
  return [within([own, ...others], 'macs', own.cost.macs) ?? own]
}

/** Every choice of a method that makes a layer smaller. */
function ladderOf(unit: Unit, { name, opened }: Row, round: number): Choice[] {
  const own = opened()
  const seen = new Set<string>()
  return own
    .ladder()
    .map((ranks) => rounded(own, ranks, round))
    .filter((ranks) => !seen.has(String(ranks)) && seen.add(String(ranks)))
    .filter((ranks) => isSmaller(unit, { cost: own.cost(ranks) }))
    .map((ranks) => choiceOf(name, own, ranks))
}

const choiceOf = (method: MethodName, opened: Opened, ranks: Ranks): Choice => ({
  ...{ method, opened, ranks },
  cost: opened.cost(ranks),
  error: opened.error(ranks),
})

/** Whether a choice has fewer operations or parameters than the layer, and more of neither. */
export const isSmaller = (unit: Unit, { cost }: Pick<Choice, 'cost'>): boolean =>
  cost.macs <= unit.macs &&
  cost.parameters <= unit.parameters &&
  (cost.macs < unit.macs || cost.parameters < unit.parameters)

/** Steps in which a smaller rank that keeps the energy is looked for. */
const halvings = 4

/**
 * Tries the iterative methods at the size that a layer has got: the one that loses least stays. Where energy is to be
 * kept, it is made smaller for as long as it keeps enough.
 */
export function challenged(
  { challengers }: Prospect,
  choice: Choice,
  { round, energy }: Pick<FactorizeOptions, 'round' | 'energy'>,
): Choice {
  let best = choice
  for (const { name, opened } of challengers) {
    const own = opened()
    const most = largestWithin(own, choice, round)
    if (!most) continue
    const other = choiceOf(name, own, most)
    if (other.error >= best.error) continue
    best = energy === undefined ? other : smallest(other, 1 - energy, round)
  }
  return best
}

/** The smallest rank found by halving that loses no more than a share. */
function smallest(choice: Choice, error: number, round: number): Choice {
  let best = choice
  let [low, high] = [0, Math.floor(choice.ranks[0]! / round)]
  for (let step = 0; step < halvings && high - low > 1; step++) {
    const middle = Math.ceil((low + high) / 2)
    const other = choiceOf(choice.method, choice.opened, [middle * round])
    if (other.error <= error) [best, high] = [other, middle]
    else low = middle
  }
  return best
}

/** The largest rank that costs no more than a choice, by halving. */
function largestWithin(opened: Opened, { cost: limit }: Choice, round: number): Ranks | undefined {
  const fits = (rank: number) => {
    const { macs, parameters } = opened.cost([rank])
    return macs <= limit.macs && parameters <= limit.parameters
  }
  let [low, high] = [0, Math.floor(opened.full[0]! / round)]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle * round)) low = middle
    else high = middle - 1
  }
  return low > 0 ? [low * round] : undefined
}

function once<Result>(make: () => Result): () => Result {
  let made: { readonly result: Result } | undefined
  return () => {
    made ??= { result: make() }
    return made.result
  }
}
