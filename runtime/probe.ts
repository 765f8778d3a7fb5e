// Whether a provider of onnxruntime-node computes here, found out by running a graph in a child process: a broken
// driver takes its whole process down.
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'

/** What came of a test run. */
export type Probe =
  | { readonly ran: true }
  /** The signal that ended the process, or what it said instead of the right numbers. */
  | { readonly ran: false; readonly crashed?: string; readonly said: string }

const script = `
const { InferenceSession, Tensor } = require(process.argv[1])
const options = { executionProviders: [process.argv[3]], logSeverityLevel: 4 }
InferenceSession.create(Buffer.from(process.argv[2], 'base64'), options)
  .then((session) => session.run({ x: new Tensor('float32', [1, 2, 3, 4], [4]) }))
  .then(({ y }) => process.stdout.write(Array.from(y.data).join()))
  .catch((error) => process.stderr.write(error.message))
`

/** Runs a graph of one node on a provider, in a child process with this environment; waits a minute at most. */
export async function tryProvider(
  executionProvider: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Probe> {
  const packagePath = createRequire(import.meta.url).resolve('onnxruntime-node')
  // What writes models is loaded here: the table of providers is read where no model is.
  const { squareModel } = await import('./square.ts')
  const content = Buffer.from(squareModel()).toString('base64')
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      ['-e', script, packagePath, content, executionProvider],
      { env: environment, timeout: 60_000, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (stdout === '1,4,9,16') resolve({ ran: true })
        else
          resolve({
            ran: false,
            ...(error?.signal && { crashed: error.signal }),
            said: (stderr || stdout).replace(/\s+/g, ' ').trim().slice(0, 200),
          })
      },
    )
  })
}
