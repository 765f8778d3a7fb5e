// Every pass on every real model, and all together on the large ones: the same outputs before and after.
import { runnableModels } from '../support/compare.ts'
import { describePasses, large, passes } from './every-pass.ts'

for (const file of runnableModels)
  describePasses(file, large.has(file) ? ['all'] : Object.keys(passes))
