// The features of a table where a recipe names none.
import { UserError } from '../base/errors.ts'
import { type FeatureOptions, featureOptions } from './features/index.ts'
import type { ColumnType, Table, TableColumn } from './table.ts'
import { type TargetKind, targetNames } from './targets.ts'

/** What a column of a type becomes by itself; numbers and texts go together unless there is one text alone. */
const byType: Readonly<Partial<Record<ColumnType, (column: string) => object>>> = {
  tensor: (column) => ({ kind: 'tensor', column }),
  list: (column) => ({ kind: 'tensor', column }),
  bytes: (column) => ({ kind: 'image', column }),
  text: (column) => ({ kind: 'text', column }),
}

/** What files are, by the name that their reader gives the column. */
const byName: Readonly<Record<string, (column: string) => object>> = {
  image: (column) => ({ kind: 'image', column }),
  audio: (column) => ({ kind: 'audio', column }),
}

/** What a feature may be called: a dot tells of several outputs of one, and a colon of columns of Condense's own. */
const featureName = /^[^.:]+$/

/** Chooses features by what the columns hold, all but those `named` as targets; where that is not clear, a {@link UserError} asks for them. */
export function defaultFeatures(
  table: Table,
  named: readonly string[],
  {
    target: kind,
    model,
  }: {
    readonly target: TargetKind
    readonly model?:
      | {
          readonly features?:
            | Readonly<Record<string, Readonly<Record<string, unknown>>>>
            | undefined
        }
      | undefined
  },
): Record<string, FeatureOptions> {
  const targets = new Set([
    ...targetNames(table, { kind, columns: named, scale: 1 }),
    ...(table.label === undefined ? [] : [table.label]),
  ])
  const columns = table.columns.filter(({ name }) => !targets.has(name))
  const chosen = choose(columns)
  const odd = Object.keys(chosen).find((name) => !featureName.test(name))
  if (odd !== undefined)
    throw new UserError(
      `data.features: the name of column '${odd}' cannot be a feature's — give its feature, as { x: { kind: tensor, column: '${odd}' } }`,
    )
  return Object.fromEntries(
    Object.entries(chosen).map(([name, options]) => {
      const { kind } = options as { kind: string }
      // What the model's own files ask for goes before the defaults.
      const asked = model?.features?.[kind] ?? {}
      return [name, featureOptions.parse({ ...options, ...asked })]
    }),
  )
}

function choose(columns: readonly TableColumn[]): Record<string, object> {
  const plain = columns.filter(({ type }) => type === 'number' || type === 'text')
  const others = columns.filter((column) => !plain.includes(column))
  if (others.length > 0) {
    const made = others.map(({ name, type }) => {
      const make = (type === 'file' ? byName[name] : undefined) ?? byType[type]
      if (!make)
        throw new UserError(
          `data.features: nothing says what the files of column '${name}' are — give its feature, as { ${name}: { kind: image, column: ${name} } }`,
        )
      return [name, make(name)] as const
    })
    return Object.fromEntries(made)
  }
  const [only] = plain
  if (!only)
    throw new UserError(
      'data.features: there is no column but those to be predicted — use other data',
    )
  if (plain.length === 1 && only.type === 'text') return { [only.name]: byType.text!(only.name) }
  return { features: { kind: 'table' } }
}
