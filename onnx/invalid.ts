// How the readers of this folder refuse what a file says.
import { UserError } from '../base/errors.ts'

/** A {@link UserError} about the content of a model file; `loadModel` puts the file's name before it. */
export const invalid = (what: string): UserError =>
  new UserError(`not a valid ONNX model: ${what} — export or download the file again`)

/** A name from a file, fit for a message of one line. */
export function quote(name: string): string {
  const clean = name.replace(/\p{C}/gu, '?')
  return clean.length > 80 ? `'${clean.slice(0, 77)}...'` : `'${clean}'`
}
