// The models that a recipe names, as ONNX files on this machine: fetched where they are elsewhere, converted where they
// are something else.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../base/files.ts'
import { sha256 } from '../base/hash.ts'
import { statedClasses } from '../models/class-names.ts'
import { homeOf, isModelAddress, locateModel } from '../models/fetch.ts'
import type { FetchContext } from '../models/fetch-context.ts'
import { type HubConfig, readHubConfig } from '../models/hub-config.ts'
import type { ModelSource, StudentSource } from '../models/source.ts'
import { convertTfjs } from '../models/tfjs/convert.ts'
import { isTfjs } from '../models/tfjs/model-file.ts'
import { loadModel } from '../onnx/load.ts'
import { saveModel, serializeModel } from '../onnx/save.ts'
import { modelsIn } from './cost.ts'

/** A model on this machine. */
export interface LocalModel<Source extends StudentSource = ModelSource> {
  /** The same source, with the path of an ONNX file. */
  readonly source: Source
  /** The folder that its other files are in; undefined for what is no file. */
  readonly folder: string | undefined
}

/** Brings a model here, as an ONNX file; what goes wrong is a `UserError`. */
export async function localModel<Source extends StudentSource>(
  source: Source,
  context: FetchContext,
): Promise<LocalModel<Source>> {
  if (!('file' in source)) return { source, folder: undefined }
  // A file that is here is taken as it is, whatever is wrong with it shows when it is opened.
  const place =
    isModelAddress(source.file) || !isPlainFile(source)
      ? await locateModel(source, context)
      : { file: source.file, folder: homeOf(source.file) }
  const file = isTfjs(place.file) ? await converted(place.file, context) : place.file
  return { source: { ...source, file }, folder: place.folder }
}

const isPlainFile = (source: { readonly file: string; readonly sha256?: string | undefined }) =>
  source.file.endsWith('.onnx') && source.sha256 === undefined

/** The same options with every model that they name, as the student of distillation, on this machine. */
export async function withLocalModels<Options extends object>(
  options: Options,
  context: FetchContext,
): Promise<Options> {
  const local = structuredClone(options)
  for (const [path, named] of modelsIn(options)) {
    const keys = path.split('.')
    const holder = keys.slice(0, -1).reduce<unknown>(itemOf, local)
    const { source } = await localModel(named, context)
    ;(holder as Record<string, StudentSource>)[keys.at(-1)!] = source
  }
  return local
}

const itemOf = (holder: unknown, key: string): unknown => (holder as Record<string, unknown>)[key]

/** A TensorFlow.js model as ONNX, written once. */
async function converted(path: string, { cacheFolder, log }: FetchContext): Promise<string> {
  const folder = join(cacheFolder, 'converted')
  const model = await convertTfjs(path)
  // Models may share a description, so the name tells the weights too.
  const file = join(folder, `${sha256(serializeModel(model)).slice(0, 32)}.onnx`)
  if (existsSync(file)) return file
  log?.(`${path}: converted to ONNX`)
  makeFolder(folder)
  await saveModel(model, file)
  return file
}

/** The names that a model's file states for its classes; undefined for what is no file, and where it states none. */
export const classesStatedBy = async (
  source: ModelSource,
): Promise<readonly string[] | undefined> =>
  'file' in source ? statedClasses(await loadModel(source.file)) : undefined

/** What the files beside a model say of it; undefined where there are none. */
export async function hubConfigIn(folder: string | undefined): Promise<HubConfig | undefined> {
  if (folder === undefined) return undefined
  const named = ['config.json', 'preprocessor_config.json', 'tokenizer.json']
  return named.some((name) => existsSync(join(folder, name)))
    ? await readHubConfig(folder)
    : undefined
}
