// Narrower copies of the larger real models.
import { expectSmaller } from '../models/shrunk.ts'
import { itWithShared } from '../support/shared.ts'

itWithShared.each([
  'super-resolution-10',
  'basic-pitch',
  'mnist-burn-a',
  'ultraface-rfb-320',
  'vittrack',
  'yolox-nano',
  'ppocr-det-ch-v3',
])('%s becomes smaller with the same inputs and outputs', expectSmaller)
