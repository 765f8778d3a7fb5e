// Training on a GPU that the CPU imitates, and in WebAssembly.
import { expectSameCurves, itCompiled, itWithSoftwareGpu } from '../train/curves.ts'

itWithSoftwareGpu(
  "50 losses are the same on webgpu as on the CPU (needs dist/ and Chromium's software GPU)",
  () => expectSameCurves(50, 'webgpu'),
  1_200_000,
)

itCompiled(
  '30 losses are the same on wasm as on the CPU (needs dist/)',
  () => expectSameCurves(30, 'wasm'),
  300_000,
)
