// What a stage's result depends on besides its inputs: the code itself, and the runtime under it.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folders whose code decides what comes out of a stage; measuring and showing it do not. */
const codeFolders = [
  ...['base', 'onnx', 'runtime', 'channels', 'train'],
  ...['data', 'tasks', 'models', 'stages'],
] as const

let hash: string | undefined

/** A SHA-256 over Condense's own code, so that a changed stage never finds the results of the old one. */
export function codeVersion(): string {
  hash ??= hashCode()
  return hash
}

function hashCode(): string {
  const self = fileURLToPath(import.meta.url)
  const root = dirname(dirname(self))
  // The built package has .js files, the tests run the .ts files themselves.
  const extension = extname(self)
  const digest = createHash('sha256')
  for (const folder of codeFolders)
    for (const file of codeFiles(join(root, folder), extension))
      digest.update(`${folder}/${file}\0`).update(readFileSync(join(root, folder, file)))
  return digest.digest('hex')
}

const codeFiles = (folder: string, extension: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(extension) && !file.endsWith(`.d${extension}`))
    .map((file) => file.replaceAll('\\', '/'))
    .sort()

/** The version of this package, such as `0.1.0`. */
export function packageVersion(): string {
  // One level above the folder in the sources, two above in the built package.
  const folder = dirname(fileURLToPath(import.meta.url))
  for (const path of [join(folder, '../package.json'), join(folder, '../../package.json')]) {
    try {
      return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
    }
  }
  throw new Error('internal: package.json was not found beside the code')
}
