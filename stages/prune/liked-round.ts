// Which multiple a provider wants channel counts to be: widths are timed, and rounded up as far as that costs no time.
import type { Group } from '../../channels/groups.ts'
import type { Model } from '../../onnx/graph.ts'
import type { StageContext } from '../stage.ts'
import { openTimes } from './latency.ts'
import { roundUp } from './rounding.ts'

/** Multiples that are tried. */
const multiples = [1, 4, 8, 16] as const

/** Groups that are timed at most, those with the most channels. */
const mostGroups = 4

/** So much of the best saving, and of the whole time, may be missed by a larger multiple: measurements differ. */
const slack = { ofSaving: 0.15, ofTime: 0.003 }

/**
 * Times the layers around a few groups at half their widths and a channel more, rounded up to 1, 4, 8 and 16, and gives the
 * largest multiple that is as fast as any.
 */
export async function likedRound(
  given: Model,
  model: Model,
  groups: readonly Group[],
  context: StageContext,
): Promise<number> {
  const { provider } = context
  const large = groups
    .filter(({ channels }) => channels >= 32)
    .sort((a, b) => b.channels - a.channels)
    .slice(0, mostGroups)
  if (large.length === 0) {
    context.log('round: 1, for no group has 32 channels or more to measure on')
    return 1
  }
  const countFor = ({ channels }: Group, multiple: number) =>
    channels - roundUp(Math.floor(channels / 2) + 1, multiple, channels)
  const times = await openTimes(
    { model, given, original: given },
    { provider, batch: 1 },
    'round',
    context,
  )
  await times.learn(
    new Map(
      large.map((group) => [
        group,
        [...new Set(multiples.map((multiple) => countFor(group, multiple)))].filter(
          (count) => count > 0,
        ),
      ]),
    ),
  )
  const savings = multiples.map((multiple) =>
    large.reduce((sum, group) => sum + times.saved(group, countFor(group, multiple)), 0),
  )
  const best = Math.max(...savings)
  const enough = best - Math.abs(best) * slack.ofSaving - slack.ofTime
  const liked = multiples.findLast((_, at) => savings[at]! >= enough) ?? 1
  context.log(
    `round: ${liked}, measured on ${provider}: of the time of the model, half the width of ${large.length} groups saves ${multiples.map((multiple, at) => `${(100 * savings[at]!).toFixed(1)} % rounded up to ${multiple}`).join(', ')}`,
  )
  return liked
}
