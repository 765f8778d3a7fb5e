// All tasks, one row each.
import { classification } from './classification.ts'
import { match } from './match.ts'
import { multiLabel } from './multi-label.ts'
import { ranking } from './ranking.ts'
import { regression } from './regression.ts'
import { similarity } from './similarity.ts'
import { tagging } from './tagging.ts'
import type { Task } from './task.ts'

/** The tasks by name. */
export const tasks = {
  classification,
  'multi-label': multiLabel,
  regression,
  tagging,
  ranking,
  similarity,
  match,
} as const satisfies Record<string, Task>

/** The name of a task. */
export type TaskName = keyof typeof tasks
