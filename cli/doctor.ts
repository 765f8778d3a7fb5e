// `condense doctor`: what this machine can do, and why not.
import type { Argv } from 'yargs'
import { messageOf } from '../base/errors.ts'
import { describeHost } from '../benchmarks/host.ts'
import { formatBytes } from '../benchmarks/report/format.ts'
import { downloads } from '../data/downloads.ts'
import { findSource, type SourceName, sources } from '../data/sources.ts'
import { defaultCacheFolder, listEntries } from '../pipeline/cache.ts'
import { packageVersion } from '../pipeline/version.ts'
import { type ProviderName, providerNamed, providerNames } from '../runtime/providers.ts'
import {
  dotProductsIn,
  machineAdvice,
  preferredForms,
  providerRules,
  rulesOf,
} from '../stages/quantize/machine.ts'
import type { Arguments } from './commands.ts'
import { exitCodes } from './exit.ts'
import { table } from './table.ts'

/** Declares the options of `condense doctor`. */
export const build = (yargs: Argv): Argv =>
  yargs.option('json', { type: 'boolean', default: false, describe: 'As JSON' })

/** Prints versions, providers, what they do with integers, data sets and the cache. */
export async function execute(args: Arguments): Promise<number> {
  const host = await describeHost()
  const providers = await providerFacts()
  const facts = {
    version: packageVersion(),
    host,
    dotProducts: dotProductsIn(host.flags),
    providers,
    integers: await integerFacts(providers),
    rules: providerRules,
    data: await dataFacts(),
    cache: cacheFacts(),
  }
  process.stdout.write(args.json === true ? `${JSON.stringify(facts, null, 2)}\n` : text(facts))
  return exitCodes.done
}

type Facts = {
  readonly version: string
  readonly host: Awaited<ReturnType<typeof describeHost>>
  readonly providers: readonly {
    readonly name: ProviderName
    readonly found: string
    readonly available: boolean
  }[]
  /** Instructions that add products of 8 bits up in 32. */
  readonly dotProducts: readonly string[]
  /** How the weights of quantized files are stored for each provider that is here, and why. */
  readonly integers: readonly { readonly name: string; readonly found: string }[]
  readonly rules: typeof providerRules
  readonly data: readonly { readonly name: string; readonly found: string }[]
  readonly cache: { readonly folder: string; readonly entries: number; readonly sizeBytes: number }
}

/** All at the same time: each waits for a process or a browser of its own. */
const providerFacts = (): Promise<Facts['providers']> =>
  Promise.all(
    providerNames.map(async (name) => {
      const availability = await providerNamed(name).available()
      const found = !availability.available
        ? `no: ${availability.reason}`
        : [
            'yes',
            ...(availability.software ? ['on a GPU that the CPU imitates'] : []),
            ...(availability.detail === undefined ? [] : [availability.detail]),
          ].join(', ')
      return { name, found, available: availability.available }
    }),
  )

async function integerFacts(providers: Facts['providers']): Promise<Facts['integers']> {
  const facts: { name: string; found: string }[] = []
  // A page computes with the kernels of the provider of the same name outside of it.
  const own = providers.filter(({ name, available }) => available && !providerNamed(name).browser)
  for (const { name } of own) {
    let found: string
    try {
      const { reason, ...fixed } = await machineAdvice(name, preferredForms.static)
      const run = await machineAdvice(name, preferredForms.dynamic)
      const [first, second] = [fixed, run].map(
        ({ dtype, weightBits }) => `${dtype} weights of ${weightBits} bits`,
      )
      found = `${first}${first === second ? '' : `, dynamic ${second}`}: ${reason}`
    } catch (thrown) {
      found = messageOf(thrown)
    }
    facts.push({ name, found })
  }
  return facts
}

async function dataFacts(): Promise<Facts['data']> {
  const facts: { name: string; found: string }[] = []
  for (const name of Object.keys(sources) as SourceName[]) {
    const folder = await findSource(name, { cacheFolder: defaultCacheFolder() })
    const absent = name in downloads ? 'no: is downloaded when it is needed' : 'no'
    facts.push({ name, found: folder === undefined ? absent : `yes: in ${folder}` })
  }
  return facts
}

function cacheFacts(): Facts['cache'] {
  const folder = defaultCacheFolder()
  const entries = listEntries(folder)
  const sizeBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0)
  return { folder, entries: entries.length, sizeBytes }
}

function text(facts: Facts): string {
  const { version, host, dotProducts, providers, integers, data, cache } = facts
  const versions = `${version}, Node ${host.node}, ONNX Runtime ${host.onnxruntime}`
  const rows = [
    ['machine', `${host.cpu}, ${host.cores} cores, ${formatBytes(host.memoryBytes)}`],
    ['instructions', host.flags.join(' ') || 'unknown'],
    ['8-bit products', dotProducts.join(', ') || 'no instruction for them is known'],
    ...providers.map(({ name, found }) => [`provider ${name}`, found]),
    ...integers.flatMap(({ name, found }) => [
      [`integers ${name}`, found],
      ...rulesOf(name as ProviderName).map(({ concerns, choice, reason }) => [
        '',
        `${concerns}: ${choice}, because ${reason}`,
      ]),
    ]),
    ...data.map(({ name, found }) => [`data ${name}`, found]),
    [
      'cache',
      `${cache.entries} finished stages, ${formatBytes(cache.sizeBytes)} in ${cache.folder}`,
    ],
  ]
  return `${table(['condense', versions], rows)}\n`
}
