// Trainings with every option give the same bytes again.
import { it } from '@jest/globals'
import { expectRepeated, heeded } from '../stages/trained.ts'

it.each(heeded)('%j gives the same model again, and another one than no options', expectRepeated)
