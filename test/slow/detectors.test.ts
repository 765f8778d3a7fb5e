// No labels at all: detectors and super-resolution are compressed, and compared with themselves as they were.
import { expect } from '@jest/globals'
import { unlabelled } from '../pipeline/pictures.ts'
import { quickly, wholeRun } from '../pipeline/whole.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

itWithShared('quantizes a detector of two outputs and a fixed batch (ultraface)', async () => {
  const { report } = await wholeRun({
    task: 'match',
    data: await unlabelled(9, { resize: [240, 320] }),
    preprocess: { scale: 1 / 128, mean: 127 / 128 },
    teacher: { model: { file: sharedModel('ultraface-rfb-320.onnx') } },
    stages: [
      { stage: 'quantize', scheme: 'static', calibration: { samples: 4 } },
      { stage: 'optimize', from: 'teacher' },
    ],
    benchmark: {
      ...quickly,
      gates: { variant: 'optimize', metrics: { psnr: '>= 40', cosine: '>= 0.99' } },
    },
  })
  const [quantized, optimized] = report.variants
  expect(report.gates.map(({ passed }) => passed)).toEqual([true, true])
  expect(report.teacher.accuracy?.metrics).toMatchObject({ fidelity: 1, 'max-error': 0 })
  expect(optimized?.accuracy?.value).toBeGreaterThan(0.999)
  expect(quantized?.accuracy?.metrics?.cosine).toBeGreaterThan(0.9)
  expect(quantized?.accuracy?.metrics?.psnr).toBeGreaterThan(15)
})
