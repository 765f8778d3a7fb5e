// Training a model that carries state and has subgraphs.
import { expectVoiceLearned } from '../stages/noisy-copies.ts'
import { itWithShared } from '../support/shared.ts'

itWithShared('silero-vad: a noisy copy learns from the voice detector', () =>
  expectVoiceLearned('silero-vad'),
)
