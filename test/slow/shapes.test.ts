// Inferred shapes of the larger real models.
import { expectShapes, large } from '../runtime/real-shapes.ts'
import { itWithShared } from '../support/shared.ts'

itWithShared.each([...large])('%s gets the shapes that its values have when it runs', expectShapes)
