// Every pass on every real model that is not large: the same outputs before and after.
import { runnableModels } from '../support/compare.ts'
import { describePasses, large, passes } from './every-pass.ts'

for (const file of runnableModels) if (!large.has(file)) describePasses(file, Object.keys(passes))
