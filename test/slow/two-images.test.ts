// A tracker of two images, end to end.
import { join } from 'node:path'
import { describe, expect } from '@jest/globals'
import sharp from 'sharp'
import { random } from '../../base/random.ts'
import { csvOf, folderOf, wholeRun } from '../pipeline/whole.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

describe('a model of two images (vittrack)', () => {
  /** Pictures of two sizes, and a table of their paths. */
  async function pictures(): Promise<string> {
    const files: Record<string, Uint8Array> = {}
    const rows: string[][] = []
    for (let index = 0; index < 12; index++) {
      const row = []
      for (const [kind, side] of [
        ['template', 40],
        ['search', 80],
      ] as const) {
        const { integer } = random(5, kind, index)
        const raw = { width: side, height: side, channels: 3 } as const
        const pixels = Uint8Array.from(
          { length: side * side * 3 },
          (_, at) => ((at >> 3) * (index + 1) + integer(40)) & 255,
        )
        const path = `${kind}/${index}.png`
        files[path] = await sharp(pixels, { raw }).png().toBuffer()
        row.push(path)
      }
      rows.push(row)
    }
    return join(
      folderOf({ ...files, 'train.csv': csvOf(['template', 'search'], rows) }),
      'train.csv',
    )
  }

  itWithShared('is calibrated, quantized and measured', async () => {
    const { report } = await wholeRun({
      task: 'match',
      data: {
        format: 'csv',
        path: await pictures(),
        features: {
          template: { kind: 'image', column: 'template', resize: [128, 128] },
          search: { kind: 'image', column: 'search', resize: [256, 256] },
        },
      },
      preprocess: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
      teacher: { model: { file: sharedModel('vittrack.onnx') } },
      stages: [
        { stage: 'quantize', scheme: 'static', calibration: { method: 'minmax', samples: 4 } },
        { stage: 'quantize', id: 'half', from: 'teacher', scheme: 'float16' },
      ],
    })
    const [quantized, half] = report.variants
    expect(quantized?.accuracy?.metrics).toHaveProperty('psnr')
    expect(half?.accuracy?.value).toBeGreaterThan(0.99)
    expect(quantized?.accuracy?.value).toBeGreaterThan(0.3)
  })
})
