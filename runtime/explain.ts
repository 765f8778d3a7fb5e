// ONNX Runtime's messages turned into one line that says what to do.
import { messageOf, UserError } from '../base/errors.ts'

/** What to do about a failure, by what ONNX Runtime says of it. */
const advice: readonly (readonly [says: RegExp, todo: string])[] = [
  [
    /protobuf parsing failed/i,
    'the file is no ONNX model or is damaged: export or download it again',
  ],
  [/find an implementation for/i, 'the operator has no kernel for these types on this provider'],
  [
    /not a registered function\/op|no op registered|is not a registered/i,
    'the model needs operators that stock ONNX Runtime does not have',
  ],
  [
    /opset \d+ is under development|only supports opset|unsupported model ir version/i,
    'the model is newer than this ONNX Runtime: export it with a lower opset',
  ],
  [
    /failed to load (shared )?library|no available backend|WebGPU adapter/i,
    '`condense doctor` lists what is available and why',
  ],
  [/external data|data file/i, 'put the external data file back beside the model'],
]

/** The oldest operator set that ONNX Runtime promises to run. */
const oldestOpset = 7

/** Why a model cannot be opened, as a {@link UserError}; `opset` is the model's, where it is known. */
export function explainOpening(
  where: string,
  version: string,
  thrown: unknown,
  opset = oldestOpset,
): UserError {
  if (thrown instanceof UserError) return thrown
  const reason = shorten(messageOf(thrown))
  const todo =
    opset < oldestOpset
      ? `its opset is ${opset}, the oldest that runs is ${oldestOpset}: export the model again with opset 13 or newer`
      : (advice.find(([says]) => says.test(reason))?.[1] ??
        'check the model with the tool that exported it')
  const [major, minor] = version.split('.')
  return new UserError(
    `${where}: ONNX Runtime ${major}.${minor} cannot run it: ${reason} — ${todo}`,
    { cause: thrown },
  )
}

/** Why a run stopped, as a {@link UserError}. */
export function explainRunning(where: string, thrown: unknown): UserError {
  return new UserError(
    `${where}: ONNX Runtime stopped while running it: ${shorten(messageOf(thrown))} — check that the inputs fit the model`,
    { cause: thrown },
  )
}

/** One line without error codes, C++ signatures and colours. */
function shorten(message: string): string {
  const line = message
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours start with an escape character
    .replace(/\u001b\[[\d;]*m/g, '')
    .replace(/^.*ERROR_MESSAGE: /s, '')
    .replace(/\/\S*\.(?:cc|h):\d+ .*?(?:\)|>) (?=\S)/gs, '')
    .replace(/\s+/g, ' ')
    .replace(/^Error: /, '')
    .trim()
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}
