// A native library that gives up takes its process down, at any moment, and no more than that.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { benchmark } from '../../../benchmarks/benchmark.ts'
import { linearModel, temporaryFolder, threeClasses } from '../../support/measured.ts'
import { descendants } from '../../support/processes.ts'

const folder = temporaryFolder()

const subject = async (id: string, from: string | null) => ({
  ...{ id, from, stage: from ? 'prune' : 'train', file: `variants/${id}/model.onnx` },
  path: await linearModel(join(folder, `${id}.onnx`), { gain: 3 }),
})

const describeOnLinux = process.platform === 'linux' ? describe : describe.skip

describeOnLinux('a measuring process that aborts', () => {
  it.each([
    ['cpu', 'second: accuracy'],
    ['cpu', 'cpu: latency, batch 1, 1 thread'],
    ['wasm', 'wasm: latency, batch 1, 1 thread'],
  ] as const)(
    'on %s, as it comes to "%s", is told of, and the others go on',
    async (provider, moment) => {
      let aborted = false
      const { teacher, variants } = await benchmark({
        teacher: await subject('teacher', null),
        variants: [await subject('first', 'teacher'), await subject('second', 'teacher')],
        data: threeClasses(100),
        providers: ['cpu', 'wasm'],
        latency: { batches: [1], threads: [1], rounds: 3, runs: 10, seconds: 0.2 },
        knowledge: false,
        workFolder: join(folder, 'work'),
        seed: 1,
        onProgress({ what }) {
          const cells = descendants(process.pid).filter(({ command }) =>
            command.includes('cell.js'),
          )
          const last = cells.sort((a, b) => a.pid - b.pid).at(-1)
          if (aborted || what !== moment || !last) return
          aborted = true
          process.kill(last.pid, 'SIGABRT')
        },
      })
      expect(aborted).toBe(true)
      const results = [teacher, ...variants].flatMap(({ id, providers }) =>
        Object.entries(providers).map(([name, result]) => ({ id, name, ...result })),
      )
      const broken = results.filter(({ available }) => !available)
      expect(broken).toMatchObject([{ name: provider, reason: 'its process crashed (SIGABRT)' }])
      for (const result of results)
        if (result.available) expect(result.p50Ms).toBeGreaterThan(0)
        else expect(result.p50Ms ?? null).toBeNull()
      expect(results).toHaveLength(6)
    },
  )
})
