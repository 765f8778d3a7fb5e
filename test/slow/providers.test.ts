// 50 steps of training on a GPU that the CPU imitates.
import { expectSameCurves, itWithSoftwareGpu } from '../train/curves.ts'

itWithSoftwareGpu(
  "50 losses are the same on webgpu as on the CPU (needs dist/ and Chromium's software GPU)",
  () => expectSameCurves(50, 'webgpu'),
  1_200_000,
)
