// Rules that choose samples to teach with, one row each: by what is right, by how sure the teacher is, by class.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { logSoftmax } from '../../base/statistics.ts'
import { suggest } from '../../base/suggest.ts'
import type { Dataset } from '../../data/dataset.ts'
import { stratifiedOrder } from '../../data/stratify.ts'
import { largest } from '../../tasks/predictions.ts'
import type { Predictions } from '../../tasks/task.ts'

/** What a model says of every sample: the class that it decides for, -1 where it says nothing, and how sure it is. */
export interface Decisions {
  readonly classes: Int32Array
  /** The largest probability, 0..1; NaN where the model says nothing. */
  readonly confidences: Float32Array
}

/** What rules may look at. Models are asked when a rule wants to know. */
export interface Pool {
  readonly data: Dataset
  readonly seed: number
  teacher(): Promise<Decisions>
  /** The student before it is taught. */
  student(): Promise<Decisions>
  /** The class of every sample: its label, or else the teacher's decision, -1 where there is neither. */
  classes(): Promise<Int32Array>
}

/** A rule. */
interface Rule<Argument extends z.ZodType = z.ZodType> {
  readonly argument: Argument
  /** Chooses among the samples that are left, given and returned as ascending indices. */
  select(pool: Pool, left: Uint32Array, argument: z.output<Argument>): Promise<Uint32Array>
}

const rule = <Argument extends z.ZodType>(row: Rule<Argument>): Rule<Argument> => row

/** The argument of rules that need none: they are written as their name alone. */
const nothing = z.undefined()

const classNames = z.array(z.string()).min(1)

/** The rules by name. */
export const rules = {
  /** What the teacher gets wrong it should not teach; samples without a label stay. */
  'teacher-correct': rule({
    argument: nothing,
    async select({ data: { labels }, teacher }, left) {
      const { classes } = await teacher()
      return left.filter((index) => labels[index]! < 0 || classes[index] === labels[index])
    },
  }),
  /** The same, of teacher and student. */
  'both-correct': rule({
    argument: nothing,
    async select({ data: { labels }, teacher, student }, left) {
      const [theirs, own] = [(await teacher()).classes, (await student()).classes]
      return left.filter((index) => {
        const label = labels[index]!
        return label < 0 || (theirs[index] === label && own[index] === label)
      })
    },
  }),
  balanced: rule({
    argument: nothing,
    async select(pool, left) {
      const classes = await pool.classes()
      const members = new Map<number, number[]>()
      for (const index of left) {
        const known = classes[index]!
        if (known < 0) continue
        const list = members.get(known)
        if (list) list.push(index)
        else members.set(known, [index])
      }
      const fewest = Math.min(...[...members.values()].map(({ length }) => length))
      const chosen = [...members.entries()].flatMap(([known, list]) => {
        const order = random(pool.seed, 'transfer', 'balanced', known).permutation(list.length)
        return Array.from(order.subarray(0, fewest), (place) => list[place]!)
      })
      return Uint32Array.from(chosen).sort()
    },
  }),
  confidence: rule({
    argument: z
      .number()
      .gt(0)
      .max(1)
      .describe("Samples of which the teacher's largest probability is at least this."),
    async select({ teacher }, left, least) {
      const { confidences } = await teacher()
      return left.filter((index) => confidences[index]! >= least)
    },
  }),
  without: rule({
    argument: classNames.describe('Leaves these classes out, by name.'),
    async select(pool, left, names) {
      const numbers = new Set(classNumbers(pool.data, names))
      const classes = await pool.classes()
      return left.filter((index) => !numbers.has(classes[index]!))
    },
  }),
  only: rule({
    argument: classNames.describe('Leaves all but these classes out, by name.'),
    async select(pool, left, names) {
      const numbers = new Set(classNumbers(pool.data, names))
      const classes = await pool.classes()
      return left.filter((index) => numbers.has(classes[index]!))
    },
  }),
  /** Whole groups; each label, and having none, keeps its proportion. */
  share: rule({
    argument: z.number().gt(0).lt(1).describe('So large a part, chosen by seed.'),
    async select({ data: { labels, group }, seed }, left, share) {
      const firsts = group === 1 ? left : left.filter((_, place) => place % group === 0)
      const order = stratifiedOrder(labels, firsts, random(seed, 'transfer', 'share'))
      const chosen = order.slice(0, Math.round(firsts.length * share)).sort()
      if (group === 1) return chosen
      return Uint32Array.from(
        { length: chosen.length * group },
        (_, place) => chosen[Math.floor(place / group)]! + (place % group),
      )
    },
  }),
} as const satisfies Record<string, Rule>

type RuleName = keyof typeof rules
/** Rules written as their name. */
type Word = {
  [Name in RuleName]: (typeof rules)[Name]['argument'] extends typeof nothing ? Name : never
}[RuleName]
/** Rules written with an argument. */
type Phrase = Exclude<RuleName, Word>

const names = Object.keys(rules) as RuleName[]
const words = names.filter((name) => rules[name].argument === nothing) as [Word, ...Word[]]
const phrases = names.filter((name): name is Phrase => rules[name].argument !== nothing)

/** One rule as it is written. */
export type RuleOptions =
  | Word
  | {
      [Name in Phrase]: { readonly [Key in Name]: z.output<(typeof rules)[Name]['argument']> }
    }[Phrase]

/** Schema of one rule. */
export const ruleOptions = z.union(
  [z.enum(words), ...phrases.map((name) => z.strictObject({ [name]: rules[name].argument }))],
  {
    error: `expected one of ${words.map((name) => `'${name}'`).join(', ')}, or one of ${phrases.map((name) => `'${name}'`).join(', ')} with its value, as { confidence: 0.9 }`,
  },
  // The union is made of the table, whose names the compiler does not follow.
) as unknown as z.ZodType<RuleOptions, RuleOptions>

/** The name of a rule, its argument, and both for people. */
export function readRule(options: RuleOptions): {
  readonly name: RuleName
  readonly argument: unknown
  readonly text: string
} {
  if (typeof options === 'string') return { name: options, argument: undefined, text: options }
  const [name, argument] = Object.entries(options)[0] as [RuleName, unknown]
  const text = Array.isArray(argument) ? argument.map((one) => `'${one}'`).join(', ') : argument
  return { name, argument, text: `${name} ${text}` }
}

/** Applies one rule to the samples that are left, ascending. */
export async function selectBy(
  options: RuleOptions,
  pool: Pool,
  left: Uint32Array,
): Promise<Uint32Array> {
  const { name, argument } = readRule(options)
  // A row and its argument belong together, which the compiler cannot tie over a union.
  return (rules[name] as Rule).select(pool, left, argument)
}

/** The numbers of classes by their names; a name that no class has is a {@link UserError}. */
export function classNumbers(
  { classes }: Pick<Dataset, 'classes'>,
  names: readonly string[],
  where = 'transfer.select',
): number[] {
  return names.map((name) => {
    const number = classes.indexOf(name)
    if (number < 0)
      throw new UserError(`${where}: no such class: '${name}' — ${suggest(name, classes)}`)
    return number
  })
}

/** What normalised predictions decide for, and how sure they are. */
export function decisionsOf(predictions: Predictions): Decisions {
  const { size } = predictions
  const classes = new Int32Array(size)
  const confidences = new Float32Array(size)
  for (let index = 0; index < size; index++) {
    const row = predictions.row(index)
    const decision = largest(row)
    classes[index] = decision
    confidences[index] = decision < 0 ? Number.NaN : Math.exp(logSoftmax(row)[decision]!)
  }
  return { classes, confidences }
}
