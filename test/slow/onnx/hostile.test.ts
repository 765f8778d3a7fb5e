// Many damaged files.
import { expectFlipsEnd, names } from '../../onnx/damaged.ts'
import { itWithShared } from '../../support/shared.ts'

itWithShared.each(names)('%s with flipped bytes loads or ends with one line', (name) =>
  expectFlipsEnd(name, 150),
)
