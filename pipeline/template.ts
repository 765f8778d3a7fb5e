// The recipe that `condense init` writes: complete, commented, and meant to be edited.
import { stringify } from 'yaml'
import type { DataInput } from './surroundings.ts'

/** What a new recipe is for. */
export interface TemplateChoices {
  readonly name: string
  /** Path of the teacher; without one the recipe trains a residual net. */
  readonly model?: string | undefined
  readonly data: DataInput
  /** Where the recipe will find its schema, for editors. */
  readonly schema: string
}

/** Writes a recipe that prunes, recovers and quantizes a model, with comments on what to change. */
export function recipeTemplate({ name, model, data, schema }: TemplateChoices): string {
  return `# yaml-language-server: $schema=${schema}
# A recipe for Condense. See what it would do:  condense run <this file> --dry-run
name: ${inline(name)}
seed: 7                     # the same recipe, seed and machine type give the same bytes

# A known data set (digits, mnist, fashion-mnist, cifar10, …), or { format: images | csv | …, path: folder or file }.
data: ${inline(data)}
task: classification        # or multi-label, regression, tagging, ranking, similarity; match needs no labels
# The model must see the numbers that it was trained with: value = (byte * scale - mean) / std.
# preprocess: { mean: 0.5, std: 0.5 }

# The model that all others are compared with.
teacher:
${teacherText(model)}
# Stages run in order, each on the result of the one before; 'from: <id>' starts a branch.
stages:
  - stage: prune
    structure: channels     # cuts channels out, so the model gets faster; or weights: zeroes single weights
    criterion: taylor       # or l1, l2
    target: { macs: 0.6 }   # share of the multiplications that remains; or parameters, or sparsity
    recover: { epochs: 2 }  # brings back the unpruned model's answers
  - stage: quantize
    id: int8
    scheme: static          # 8-bit weights and activations; or dynamic, float16
    calibration: { method: minmax, samples: 512 }
  - stage: quantize
    id: float16
    from: prune
    scheme: float16

benchmark:
  providers: [cpu, wasm]    # as condense doctor lists them; what is not there says why
  gates:                    # relative to the teacher; a run that misses one exits with 3
    variant: int8
    retention: '>= 0.98'    # accuracy
    size: '<= 0.4'
`
}

const teacherText = (model: string | undefined): string =>
  model === undefined
    ? `  model: { architecture: resnet, depth: 8, width: 16 }  # or { file: model.onnx }
  train: { epochs: 4, optimizer: { name: adamw, rate: 0.002 }, schedule: cosine }
`
    : `  model: { file: ${inline(model)} }
`

/** A value on one line of YAML. */
const inline = (value: unknown): string =>
  stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()
