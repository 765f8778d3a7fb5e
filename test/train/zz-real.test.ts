import { appendFileSync } from 'node:fs'
import { it } from '@jest/globals'
import { backends, compareEngines } from './cross-engine.ts'
import { drawInputs, matching, realModels } from './real-models.ts'

const only = process.env.ONLY ? new RegExp(process.env.ONLY) : /./
const backend = (process.env.BACKEND ?? 'cpu') as 'cpu'
it.each(realModels.filter((r) => only.test(r.file)))(
  '$file',
  async (real) => {
    const few = { ...real, batch: 1 }
    const start = performance.now()
    try {
      const definition = await matching(few)
      const d = await compareEngines(definition, (feeds) => drawInputs(feeds, few, 1), backend)
      appendFileSync(
        '/tmp/h5/real.log',
        `${backend} ${real.file} loss ${d.loss.toExponential(1)} gradient ${d.gradient.toExponential(1)} ${Math.round(performance.now() - start)} ms\n`,
      )
    } catch (e) {
      appendFileSync(
        '/tmp/h5/real.log',
        `${backend} ${real.file} ERR ${(e as Error).message.slice(0, 300)}\n`,
      )
      throw e
    }
  },
  600_000,
)
it('x', () => console.log(backends))
