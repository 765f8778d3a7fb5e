// The public API of Condense: a table of contents, only re-exports.
export { Interrupted, UserError } from './base/errors.ts'
export type { Gate, ProviderResult, Report, Variant } from './benchmarks/report/report.ts'
export { architectures, buildArchitecture } from './models/index.ts'
export type { Graph, Model, Node, Value } from './onnx/graph.ts'
export { loadModel, parseModel } from './onnx/load.ts'
export { saveModel, serializeModel } from './onnx/save.ts'
export { printGraph } from './onnx/text.ts'
export type { RunEvent } from './pipeline/events.ts'
export { type Plan, planRun } from './pipeline/plan.ts'
export type { RunOptions } from './pipeline/prepare.ts'
export { parseRecipe, type Recipe, type RecipeInput, recipeSchema } from './pipeline/recipe.ts'
export { run } from './pipeline/run.ts'
export {
  type BenchRequest,
  bench,
  runStage,
  type StageRequest,
  type StageResult,
} from './pipeline/single.ts'
export type { ProviderName } from './runtime/providers.ts'
export { openSession, type Session, withSession } from './runtime/session.ts'
