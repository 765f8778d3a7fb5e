// A training that is killed at random moments, again and again, ends as one that was left alone.
import { it } from '@jest/globals'
import { expectSameAfterKills } from '../../cli/kills.ts'

it('gives the same bytes after kills at random moments', () => expectSameAfterKills(4))
