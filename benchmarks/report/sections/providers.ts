// Which variant ran on which provider, how truly, and why the others did not.
import type { Block, Cell } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import { everyVariant, providersOf } from '../judge.ts'
import type { ProviderResult, Report, Variant } from '../report.ts'
import { missing, variantCell } from './cells.ts'

/** Shows the matrix of variants and providers, and the reason of every cell without a number. */
export function providers(report: Report): Block[] {
  const names = providersOf(report)
  if (names.length === 0) return []
  const notes = names.flatMap((provider) => [
    ...detailsOf(report, provider),
    ...reasonsOn(report, provider),
  ])
  return [
    {
      kind: 'table',
      caption: 'What ran where',
      columns: [
        { title: 'Variant', align: 'left' },
        ...names.map((title) => ({ title, align: 'left' }) as const),
      ],
      rows: everyVariant(report).map((variant) => [
        variantCell(report, variant),
        ...names.map((provider) => cellOf(report, provider, resultOn(variant, provider))),
      ]),
    },
    ...(notes.length > 0 ? [{ kind: 'list', items: notes } as const] : []),
  ]
}

function cellOf(report: Report, provider: string, result: ProviderResult | undefined): Cell {
  if (!result) return missing
  if (!result.available)
    return isPresent(report, provider)
      ? { text: 'failed', mark: 'bad' }
      : { text: 'not available', mark: 'muted' }
  const { agreementWithCpu, nodesOnProvider, nodesElsewhere } = result
  const fellBack = typeof nodesElsewhere === 'number' && nodesElsewhere > 0
  const notes = [
    ...(typeof nodesOnProvider === 'number' ? [`${nodesOnProvider} nodes here`] : []),
    ...(typeof nodesElsewhere === 'number' ? [`${nodesElsewhere} elsewhere`] : []),
    ...(result.software ? ['software GPU'] : []),
  ]
  // That the CPU agrees with itself is no news.
  const agrees = typeof agreementWithCpu === 'number' && provider !== 'cpu'
  return {
    text: agrees ? `${formatPercent(agreementWithCpu)} as on CPU` : 'ran',
    ...(notes.length > 0 && { note: notes.join(', ') }),
    ...((fellBack || (agrees && agreementWithCpu < 0.99)) && { mark: 'bad' as const }),
  }
}

/** What did the work of a provider, once for all variants. */
function detailsOf(report: Report, provider: string): string[] {
  const details = everyVariant(report).flatMap(
    (variant) => resultOn(variant, provider)?.detail ?? [],
  )
  return [...new Set(details)].map((detail) => `${provider}: ${detail}`)
}

// The same reason for several variants is told once.
function reasonsOn(report: Report, provider: string): string[] {
  const variants = everyVariant(report)
  const byReason = new Map<string, string[]>()
  for (const variant of variants) {
    const result = resultOn(variant, provider)
    if (!result || result.available) continue
    const reason = result.reason ?? 'no reason was given'
    byReason.set(reason, [...(byReason.get(reason) ?? []), variant.id])
  }
  return [...byReason].map(([reason, ids]) => {
    const what = isPresent(report, provider) ? 'failed' : 'is not available'
    const who = ids.length === variants.length ? '' : ` for ${ids.join(', ')}`
    return `${provider} ${what}${who}: ${reason}`
  })
}

// A provider that ran one variant is there; another variant that did not run failed on it.
const isPresent = (report: Report, provider: string): boolean =>
  everyVariant(report).some((variant) => resultOn(variant, provider)?.available)

const resultOn = ({ providers: results }: Variant, provider: string): ProviderResult | undefined =>
  Object.hasOwn(results, provider) ? results[provider] : undefined
