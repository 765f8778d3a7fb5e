// What a model is called when only its file is known.

/** What many files of models are called, which tells nothing of them. */
const plainNames: ReadonlySet<string> = new Set(['model', 'onnx', ''])

/** The name of a file without its ending; or else that of the folder that it lies in. */
export function modelName(path: string): string {
  const parts = path.replace(/\.onnx$/, '').split(/[\\/:]/)
  return parts.findLast((part) => !plainNames.has(part)) ?? 'model'
}
