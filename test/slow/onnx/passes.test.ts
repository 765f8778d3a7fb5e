// Every pass, by itself and all together, on the real models that take long.
import { describePasses, large, passes } from '../../onnx/every-pass.ts'

for (const file of large) describePasses(file, Object.keys(passes))
