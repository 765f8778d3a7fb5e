// Larger models without labels: their answers are compared with those that they gave before.
import { expect } from '@jest/globals'
import { unlabelled } from '../pipeline/pictures.ts'
import { quickly, wholeRun } from '../pipeline/whole.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

itWithShared('quantizes a detector both ways (yolox-nano)', async () => {
  const { report } = await wholeRun({
    task: 'match',
    data: await unlabelled(8, { letterbox: [416, 416] }),
    preprocess: { scale: 1, colour: 'bgr' },
    teacher: { model: { file: sharedModel('yolox-nano.onnx') } },
    stages: [
      { stage: 'quantize', scheme: 'static', calibration: { samples: 3 } },
      { stage: 'quantize', id: 'dynamic', from: 'teacher', scheme: 'dynamic' },
    ],
  })
  for (const { accuracy } of report.variants) {
    expect(accuracy?.metrics?.cosine).toBeGreaterThan(0.8)
    expect(accuracy?.metrics).toHaveProperty('psnr')
  }
})

itWithShared('quantizes a model of pictures from pictures (super-resolution)', async () => {
  const { report } = await wholeRun({
    task: 'match',
    data: await unlabelled(8, { resize: [224, 224], channels: 1 }),
    teacher: { model: { file: sharedModel('super-resolution-10.onnx') } },
    stages: [
      { stage: 'quantize', scheme: 'static', calibration: { samples: 3 } },
      { stage: 'quantize', id: 'half', from: 'teacher', scheme: 'float16' },
    ],
    benchmark: { ...quickly, gates: { variant: 'quantize', metrics: { psnr: '>= 90' } } },
  })
  const [quantized, half] = report.variants
  // A limit that cannot be kept is reported, and is no error.
  expect(report.gates).toMatchObject([{ passed: false }])
  expect(quantized?.accuracy?.metrics?.psnr).toBeGreaterThan(25)
  expect(half?.accuracy?.metrics?.psnr).toBeGreaterThan(50)
})
