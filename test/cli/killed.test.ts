// A training that is killed at any moment ends as one that was left alone; the slow tests kill it again and again.
import { it } from '@jest/globals'
import { expectSameAfterKills } from './kills.ts'

it('gives the same bytes after a kill at a random moment', () => expectSameAfterKills(1), 120_000)
