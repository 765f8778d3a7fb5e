// The plan that residual nets for small images share: three stages of equally many blocks, each on half the resolution
// of the one before.
import type { Feature } from './layers.ts'

/** Writes one block. */
export type WriteBlock = (name: string, x: Feature, channels: number, stride: number) => Feature

/**
 * Lays stages of `blocks` blocks each, one for each number of channels; all stages but the first begin with stride 2.
 * The blocks are called `block1`, `block2`, … throughout.
 */
export function residualStages(
  input: Feature,
  channels: readonly number[],
  blocks: number,
  block: WriteBlock,
): Feature {
  let x = input
  for (let at = 0; at < channels.length * blocks; at++) {
    const stride = at > 0 && at % blocks === 0 ? 2 : 1
    x = block(`block${at + 1}`, x, channels[Math.floor(at / blocks)]!, stride)
  }
  return x
}
