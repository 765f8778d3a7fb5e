// Every real model in every scheme: the file opens on every provider that is here, and on samples that no range was found
// on its outputs stay like the float model's. Where integers alone do not, the search for mixed precision brings them there.
// The table of all figures is printed at the end; `-t yolox` or `-t 'in static'` measures a part of it.
import { afterAll, expect } from '@jest/globals'
import type { z } from 'zod'
import type { Dataset } from '../../../data/dataset.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model } from '../../../onnx/graph.ts'
import { loadModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { runApart } from '../../../runtime/apart.ts'
import type { Tensors } from '../../../runtime/feed.ts'
import { type ProviderName, providerNamed } from '../../../runtime/providers.ts'
import { withSession } from '../../../runtime/session.ts'
import { stateFlatInputs } from '../../../stages/quantize/flat-normalization.ts'
import type { quantize } from '../../../stages/quantize/index.ts'
import { likenessOf } from '../../../stages/quantize/noise.ts'
import { widenOddConvolutions } from '../../../stages/quantize/odd-channels.ts'
import { partActivations } from '../../../stages/quantize/paired-activations.ts'
import { type RecordedRun, recordRuns } from '../../../stages/verify.ts'
import { quantized } from '../../stages/quantize/support.ts'
import { itWithShared, sharedModel } from '../../support/shared.ts'
import { samplesFor, swept } from './sweep-models.ts'

type Options = Omit<z.input<typeof quantize.options>, 'stage'>

/** The cosine similarity that every output must keep. The search keeps it with 95 % confidence on samples it does not see. */
const least = 0.99

/** Each scheme, and the share of the float model's bytes below which the file has to be, unless a model has its own. */
const schemes: Readonly<Record<string, readonly [options: Options, share: number]>> = {
  float16: [{ scheme: 'float16' }, 0.55],
  'weight-only': [{ scheme: 'weight-only', bits: 8, form: 'qdq' }, 0.45],
  dynamic: [{ scheme: 'dynamic' }, 0.4],
  static: [{ scheme: 'static' }, 0.4],
}

const providers = ['cpu', 'wasm', 'webgpu'] as const satisfies readonly ProviderName[]

/** Those that can be used here: the stage is told of them, and each is measured. */
async function providersHere(): Promise<ProviderName[]> {
  const here: ProviderName[] = []
  for (const provider of providers)
    if ((await providerNamed(provider).available()).available) here.push(provider)
  return here
}

interface Runs {
  readonly all: readonly RecordedRun[]
  /** Those of them that a graphics processor repeats. */
  readonly onGpu: readonly RecordedRun[]
}

interface Opened {
  readonly float: Model
  readonly bytes: number
  readonly calibration: Dataset
  readonly shares: Readonly<Record<string, number>>
  /** What is compared, with what the float model makes of it on the CPU. */
  readonly runs: Runs
  /** Where the float model computes what it does on the CPU. */
  readonly providers: readonly ProviderName[]
}

/** The model that was opened last: its rows follow each other. */
let last: { readonly file: string; readonly opened: Promise<Opened> } | undefined

function open(file: string): Promise<Opened> {
  if (last?.file !== file) last = { file, opened: openAnew(file) }
  return last.opened
}

async function openAnew(file: string): Promise<Opened> {
  const row = swept.find((each) => each.file === file)!
  const float = await loadModel(sharedModel(`${file}.onnx`))
  const { calibration, compared } = await samplesFor(row)
  const all = await withSession(float, {}, (session) =>
    recordRuns(session, compared, {
      ...{ samples: compared.size, batch: 1, runs: 48, seed: 1 },
      where: file,
    }),
  )
  const { shares = {}, runsOnGpu = 1 } = row
  const runs = { all, onGpu: all.slice(0, runsOnGpu) }
  const content = serializeModel(float)
  // What quantization does for webgpu: the vision transformer, the tracker and the detectors of speech are wrong there otherwise.
  const mended = cloneModel(float)
  widenOddConvolutions(mended)
  await stateFlatInputs(mended, file)
  partActivations(mended)
  const found = await likenessOn(serializeModel(mended), runs, await providersHere())
  note(file, 'float', 1, found)
  const alike = providers.filter((provider) => {
    const likeness = found[provider]
    return likeness && worst({ [provider]: likeness }) >= 0.999
  })
  return { float, bytes: content.length, calibration, shares, runs, providers: alike }
}

async function runOn(
  provider: ProviderName,
  model: Uint8Array,
  runs: readonly RecordedRun[],
): Promise<readonly Tensors[]> {
  const outputs = Object.keys(runs[0]!.results)
  const feeds = runs.map((run) => run.feeds)
  if (provider === 'webgpu') {
    const apart = { model, runs: feeds, outputs, provider, threads: 1, where: 'the result' }
    return (await runApart(apart)).results
  }
  return withSession(model, { provider }, async (session) => {
    const results: Tensors[] = []
    for (const each of feeds) results.push(await session.run(each))
    return results
  })
}

/** The graphics processor that the CPU imitates has no float16, which says nothing about the file. */
function lackOfDevice(thrown: unknown): undefined {
  if (!/but the device does not support it/.test(String(thrown))) throw thrown
}

/** The likeness of every output on every provider that is here. */
async function likenessOn(
  model: Uint8Array,
  runs: Runs,
  among: readonly ProviderName[],
): Promise<Partial<Record<ProviderName, Readonly<Record<string, number>>>>> {
  const found: Partial<Record<ProviderName, Readonly<Record<string, number>>>> = {}
  for (const provider of among) {
    const some = provider === 'webgpu' ? runs.onGpu : runs.all
    const ran = await runOn(provider, model, some).catch(lackOfDevice)
    if (!ran) continue
    const likeness = likenessOf(
      some.map(({ results }) => results),
      ran,
    )
    found[provider] = Object.fromEntries([...likeness].map(([name, { cosine }]) => [name, cosine]))
  }
  return found
}

/** Lines of the table. */
const table: string[] = []

function note(
  file: string,
  scheme: string,
  share: number,
  found: Awaited<ReturnType<typeof likenessOn>>,
): void {
  const outputs = Object.keys(found.cpu!)
  const cells = providers.map((provider) =>
    outputs.map((name) => found[provider]?.[name]?.toFixed(4) ?? '–').join(' '),
  )
  table.push(
    `| ${file} | ${scheme} | ${share.toFixed(2)} | ${outputs.join(' ')} | ${cells.join(' | ')} |`,
  )
}

afterAll(() => {
  const head = [
    `| model | scheme | bytes | outputs | ${providers.join(' | ')} |`,
    '|---|---|---|---|---|---|---|',
  ]
  process.stdout.write(`\n${[...head, ...table].join('\n')}\n`)
})

const worst = (found: Awaited<ReturnType<typeof likenessOn>>): number =>
  Math.min(...Object.values(found).flatMap((each) => Object.values(each)))

itWithShared.each(
  swept.flatMap(({ file }) => Object.keys(schemes).map((scheme) => [file, scheme] as const)),
)(
  '%s in %s stays like it was wherever it runs',
  async (file, scheme) => {
    const { float, bytes, calibration, shares, runs, providers: alike } = await open(file)
    const [own, usual] = schemes[scheme]!
    const share = shares[scheme] ?? usual
    const options: Options = { ...own, providers: [...alike] }
    const measure = async (called: string, more: Options) => {
      const { model } = await quantized(float, more, calibration)
      const content = serializeModel(model)
      const found = await likenessOn(content, runs, alike)
      note(file, called, content.length / bytes, found)
      expect([called, content.length / bytes < share]).toEqual([called, true])
      return worst(found)
    }
    const plain = await measure(scheme, options)
    if (plain >= least) return
    expect(['dynamic', 'static']).toContain(scheme)
    const mixed = { floor: least, of: 'cosine', least: 'bytes' } as const
    expect(await measure(`${scheme}, mixed`, { ...options, mixed })).toBeGreaterThanOrEqual(least)
  },
  30 * 60_000,
)
