// Recordings for models that are fed chunk by chunk.
import { signal, wavOf } from '../data/audio/sound.ts'
import { folderOf } from './whole.ts'

const chunk = 512

/** Recordings of a second each, at 16 kHz: tones, loud and soft; the root of a silent spectrum has no gradient. */
const recordings = () =>
  folderOf(
    Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => {
        const loud = signal(16_000, 16_000).map(
          (value, at) => value * (0.2 + ((at >> 10) % 3)) * 0.3,
        )
        return [
          `${index}.wav`,
          wavOf(
            loud.map((value) => value * (1 - index / 20)),
            16_000,
          ),
        ]
      }),
    ),
  )

/** The data of a recipe: recordings of three chunks, without labels. */
export const speech = () => ({
  format: 'wav' as const,
  path: recordings(),
  wav: { labels: 'none' as const },
  features: {
    audio: { kind: 'audio' as const, rate: 16_000, seconds: (3 * chunk) / 16_000 },
  },
})
/** How silero's inputs are fed. */
export const carried = {
  input: { column: 'audio', chunk },
  state: { carry: 'stateN' },
  sr: { constant: 16_000 },
}
