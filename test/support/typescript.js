// Hooks of Node's loader: TypeScript is compiled as it is loaded; what lies in test/ is loaded anew for every test file.
import { fileURLToPath } from 'node:url'
import { transformFile } from '@swc/core'

const tests = new URL('..', import.meta.url).href
const globals = new URL('./globals.js', import.meta.url).href

export async function resolve(specifier, context, next) {
  const { url, ...found } = await next(specifier === '@jest/globals' ? globals : specifier, context)
  // The number of the test file, which the runtime gives.
  const [file = ''] = /\?\d+$/.exec(context.parentURL ?? '') ?? []
  return { ...found, url: url.startsWith(tests) ? `${url}${file}` : url }
}

export async function load(url, context, next) {
  const path = url.startsWith('file:') ? fileURLToPath(url) : ''
  if (!path.endsWith('.ts')) return next(url, context)
  const { code } = await transformFile(path, {
    jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
    module: { type: 'es6' },
    sourceMaps: 'inline',
    swcrc: false,
  })
  return { format: 'module', source: code, shortCircuit: true }
}
