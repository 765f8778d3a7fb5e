// All tasks, one row each.
import { classification } from './classification.ts'
import type { Task } from './task.ts'

/** The tasks by name. */
export const tasks = { classification } as const satisfies Record<string, Task>

/** The name of a task. */
export type TaskName = keyof typeof tasks
