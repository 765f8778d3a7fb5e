// The engines by name.
import type { Engine } from './engine.ts'
import { onnx } from './onnx.ts'
import { tfjs } from './tfjs.ts'

/** What runs a training, by the name of the option. */
export const engines: Readonly<Record<'onnx' | 'tfjs', Engine>> = { onnx, tfjs }
