// The structures whose weights are zeroed, by their names.
import type { Family } from './criteria.ts'
import { type Structure, type StructureKind, structureOf } from './structure.ts'
import { banded } from './structures/banded.ts'
import { blocks } from './structures/block.ts'
import { blockDiagonal } from './structures/block-diagonal.ts'
import type { MaskStructure } from './structures/mask.ts'
import { nOfM } from './structures/n-of-m.ts'
import { single } from './structures/weights.ts'

type Of<Kind extends StructureKind> = Extract<Structure, { kind: Kind }>

/** Makes the structure that a name means. */
const rows: {
  readonly [Kind in StructureKind]?: (structure: Of<Kind>) => MaskStructure
} = {
  weights: () => single,
  'n:m': ({ kept, group }) => nOfM(kept, group),
  block: ({ rows: height, columns }) => blocks(height, columns),
  banded: () => banded,
  'block-diagonal': () => blockDiagonal,
}

/** How the weights of a structure are zeroed; undefined where they are cut out. */
export function maskStructureOf(structure: Structure): MaskStructure | undefined {
  // The row and the structure have the same kind, which the compiler cannot tie together over a union.
  const row = rows[structure.kind] as ((structure: Structure) => MaskStructure) | undefined
  return row?.(structure)
}

/** What the criteria score for a structure, by its name. */
export const familyOf = ({ structure }: { readonly structure: string }): Family =>
  structure === 'layers'
    ? 'units'
    : maskStructureOf(structureOf(structure))
      ? 'weights'
      : 'channels'
