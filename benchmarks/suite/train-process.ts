// Training steps in processes of their own, ours and those of peers, so that memory is told apart; and their times
// side by side, in rounds, for the machine may be faster or slower from one minute to the next.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { pythonScript } from './python.ts'
import type { TrainCaseName } from './train-models.ts'

/** Something that takes training steps. */
export interface Trainer {
  readonly name: string
  /** What follows the program on its command line. */
  readonly program: string
  readonly arguments: (step: StepSize) => readonly string[]
}

/** Which steps are taken. */
export interface StepSize {
  readonly name: TrainCaseName
  readonly batch: number
  /** 0 for the usual depth. */
  readonly depth: number
  readonly threads: number
}

/** What one measurement says. */
export interface Measured {
  /** Mean time of a step. */
  readonly ms: number
  /** The largest memory that the process has had. */
  readonly peakBytes: number
}

/** One of our engines. */
export const engineTrainer = (engine: 'onnx' | 'tfjs'): Trainer => ({
  name: engine === 'onnx' ? 'ours' : 'tfjs',
  program: process.execPath,
  arguments: ({ name, threads, batch, depth }) => [
    fileURLToPath(new URL('train-cell.js', import.meta.url)),
    ...[engine, name, `${threads}`, `${batch}`, `${depth}`],
  ],
})

/** PyTorch in one of its modes, or why it is not to be had. */
export function torchTrainer(mode: 'eager' | 'channels_last' | 'compile'): Trainer | string {
  const found = pythonScript('torch-step.py', 'torch')
  if (typeof found === 'string') return found
  const { program, script } = found
  return {
    name: `PyTorch ${mode.replace('_', ' ')}`,
    program,
    arguments: ({ name, threads, batch, depth }) => [
      ...[script, name, `${threads}`, mode, `${batch}`, `${depth}`],
    ],
  }
}

/** A trainer's process, asked for a number of steps at a time. */
class TrainProcess {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor({ program, arguments: list }: Trainer, step: StepSize) {
    this.#child = spawn(program, list(step), { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
    // A process that could not be started or has ended shows in that it answers no more.
    this.#child.on('error', () => undefined)
    this.#child.stdin!.on('error', () => undefined)
  }

  /** True once it can take steps, false where it could not be made ready. */
  async ready(): Promise<boolean> {
    return !(await this.#lines.next()).done
  }

  async take(steps: number): Promise<Measured | undefined> {
    this.#child.stdin!.write(`${steps}\n`)
    const { value, done } = await this.#lines.next()
    return done ? undefined : (JSON.parse(value) as Measured)
  }

  close(): void {
    this.#child.stdin!.end()
    this.#child.kill()
  }
}

/** How long a trainer is measured in a round, in ms. */
const roundMs = 600

/** What is measured beside others. */
export interface Contestant {
  readonly trainer: Trainer
  readonly step: StepSize
}

/**
 * Measures in rounds, one after the other within each.
 *
 * Gives a list of rounds for each contestant, in order; undefined where one failed.
 */
export async function measureRounds(
  contestants: readonly Contestant[],
  rounds: number,
): Promise<(readonly Measured[] | undefined)[]> {
  const processes: TrainProcess[] = []
  try {
    const counts: number[] = []
    for (const { trainer, step } of contestants) {
      const started = new TrainProcess(trainer, step)
      processes.push(started)
      const first = (await started.ready()) ? await started.take(5) : undefined
      counts.push(first ? Math.min(1000, Math.max(2, Math.ceil(roundMs / first.ms))) : 0)
    }
    const measured = contestants.map((): Measured[] => [])
    for (let round = 0; round < rounds; round++)
      for (const [index, each] of processes.entries()) {
        const count = counts[index]!
        const result = count > 0 ? await each.take(count) : undefined
        if (result) measured[index]!.push(result)
      }
    return measured.map((list) => (list.length === rounds ? list : undefined))
  } finally {
    for (const each of processes) each.close()
  }
}
