// Validation errors as people want to read them: one line that says where, what is wrong, the value and what to do.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

/**
 * Validates a value and makes its defaults explicit.
 *
 * The {@link UserError} tells the first problem in full and how many more there are; `where` is the file or command.
 */
export function validated<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues
    .flatMap((issue) => settled(issue, []))
    // A misspelt key explains the missing one, so it is told first.
    .sort((a, b) => Number(isUnknownKey(b)) - Number(isUnknownKey(a)))
  const more = problems.length - 1
  const rest = more > 0 ? ` (and ${more} more ${more === 1 ? 'problem' : 'problems'})` : ''
  throw new UserError(`${where}: ${describe(schema, problems[0]!)}${rest}`)
}

/** A path as recipes and `--set` spell it: `stages.2.calibration.method`. */
const pathText = (path: Path): string => path.map(String).join('.')

const isUnknownKey = (issue: Issue): boolean => issue.code === 'unrecognized_keys'

/** Of a union's branches only the one that was meant is told of; paths become absolute. */
function settled(issue: Issue, parent: Path): Issue[] {
  const path = [...parent, ...issue.path]
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [{ ...issue, path }]
  const branches = issue.errors.map((errors) => errors.flatMap((inner) => settled(inner, path)))
  const [best = []] = branches.sort((a, b) => unlikeliness(a, path) - unlikeliness(b, path))
  return best
}

/** How little a branch looks like what was meant: the wrong kind of value weighs more than any problem inside. */
const unlikeliness = (problems: readonly Issue[], path: Path): number =>
  problems.reduce((sum, issue) => {
    const { path: at, code } = issue
    const wrongKind = at.length === path.length && code !== 'unrecognized_keys' && code !== 'custom'
    // Where the key that chooses is missing, a branch without such a key was more likely meant.
    const undecided = code === 'invalid_union' && chosenOf(issue) === undefined
    return sum + (wrongKind ? 100 : undecided ? 2.5 : 1)
  }, 0)

type UnionIssue = Extract<Issue, { code: 'invalid_union' }>

/** What the input has for the key that chooses the branch of a union (`stage`). */
const chosenOf = ({ input, discriminator }: UnionIssue): unknown =>
  (input as Record<string, unknown> | undefined)?.[discriminator ?? '']

function describe(schema: z.ZodType, issue: Issue): string {
  const at = issue.path.length > 0 ? `${pathText(issue.path)}: ` : ''
  const { input } = issue
  switch (issue.code) {
    case 'unrecognized_keys': {
      const [key = ''] = issue.keys
      const known = keysAt(schema, issue.path, input).filter((name) => name !== key)
      return `${pathText([...issue.path, key])}: unknown key — ${suggest(key, known)}`
    }
    case 'invalid_union': {
      // Only issues of discriminated unions come here; they say which values there are.
      const options =
        'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : []
      const key = String(issue.discriminator ?? '')
      const given = chosenOf(issue)
      if (given === undefined) return `${at}missing — give one of ${options.join(', ')}`
      return `${at}unknown ${key}: ${quoted(given)} — ${suggest(String(given), options)}`
    }
    case 'invalid_value': {
      const options = issue.values.map(String)
      if (input === undefined) return `${at}missing — give one of ${options.join(', ')}`
      return `${at}unknown value: ${quoted(input)} — ${suggest(String(input), options)}`
    }
    case 'invalid_type': {
      const expected = kinds[issue.expected] ?? issue.expected
      const hint = hintAt(schema, issue.path) ?? `give ${expected}`
      if (input === undefined) return `${at}missing: expected ${expected} — ${hint}`
      return `${at}expected ${expected}, got ${kindOf(input, issue.expected)}: ${quoted(input)} — ${hint}`
    }
    default: {
      const hint = hintAt(schema, issue.path) ?? "see 'condense schema'"
      const shown = input === undefined || isContainer(input) ? '' : `: ${quoted(input)}`
      return `${at}${messageOf(issue)}${shown} — ${hint}`
    }
  }
}

function messageOf(issue: Issue): string {
  const message =
    issue.code === 'too_small'
      ? `expected ${unitOf(issue.origin)} ${issue.inclusive ? 'at least' : 'above'} ${issue.minimum}`
      : issue.code === 'too_big'
        ? `expected ${unitOf(issue.origin)} ${issue.inclusive ? 'at most' : 'below'} ${issue.maximum}`
        : issue.message
  return message.replace(/\s+/g, ' ')
}

const unitOf = (origin: string): string =>
  origin === 'string' ? 'a length of' : origin === 'array' ? 'a number of items of' : 'a number of'

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  tuple: 'a list',
}

const kindOf = (value: unknown, expected: string): string =>
  value === null
    ? 'nothing'
    : Array.isArray(value)
      ? 'a list'
      : typeof value === 'number' && expected === 'int'
        ? 'a fraction'
        : (kinds[typeof value] ?? typeof value)

const isContainer = (value: unknown): boolean => typeof value === 'object' && value !== null

/** A value as it would stand in a recipe, shortened. */
function quoted(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : jsonOf(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

/** An alias of YAML may lie inside of what it stands for, which JSON cannot say. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return 'a value that contains itself'
  }
}

/** The description of what stands at a path; it says what to write there. */
function hintAt(schema: z.ZodType, path: Path): string | undefined {
  const texts = schemasAt(schema, path).map((found) => descriptionOf(found))
  return texts.find((text) => text !== undefined)?.replace(/\.$/, '')
}

function descriptionOf(schema: z.ZodType): string | undefined {
  const inner = unwrapped(schema)
  return schema.description ?? (inner === schema ? undefined : inner.description)
}

/** The keys that a mapping at a path may have; where a union knows more kinds, those that the input names. */
function keysAt(schema: z.ZodType, path: Path, input: unknown): string[] {
  const objects = schemasAt(schema, path)
    .flatMap(branches)
    .filter((found) => found instanceof z.ZodObject)
  const meant = objects.filter(({ shape }) => agrees(shape, input))
  return [
    ...new Set((meant.length > 0 ? meant : objects).flatMap(({ shape }) => Object.keys(shape))),
  ]
}

/** Whether an object's schema has a literal (`stage: 'prune'`) that the input has too. */
const agrees = (shape: z.ZodObject['shape'], input: unknown): boolean =>
  Object.entries(shape).some(
    ([key, field]) =>
      field instanceof z.ZodLiteral &&
      field.values.has((input as Record<string, z.core.util.Literal> | undefined)?.[key] ?? null),
  )

/** Every schema that a path can lead to. */
function schemasAt(schema: z.ZodType, path: Path): z.ZodType[] {
  const [key, ...rest] = path
  if (key === undefined) return [schema]
  return branches(schema).flatMap((branch) => {
    const child =
      branch instanceof z.ZodObject
        ? branch.shape[String(key)]
        : branch instanceof z.ZodArray
          ? branch.element
          : branch instanceof z.ZodTuple
            ? branch.def.items[Number(key)]
            : branch instanceof z.ZodRecord
              ? branch.valueType
              : undefined
    return child ? schemasAt(child as z.ZodType, rest) : []
  })
}

/** The kinds of value that a schema stands for: the options of its unions, without default and optional. */
function branches(schema: z.ZodType): z.ZodType[] {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodUnion)
    return inner.options.flatMap((option) => branches(option as z.ZodType))
  return [inner]
}

function unwrapped(schema: z.ZodType): z.ZodType {
  const wraps =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable
  return wraps ? unwrapped(schema.unwrap() as z.ZodType) : schema
}
