// How events look: a progress bar for each step on a terminal, plain lines in a log, one JSON object a line for
// machines. Progress goes to stderr, so that stdout holds results alone.
import { SingleBar } from 'cli-progress'
import { formatBytes } from '../benchmarks/report/format.ts'
import type { Listener, RunEvent } from '../pipeline/events.ts'
import { barLine } from './bar.ts'
import { formatDuration } from './duration.ts'
import { inWords, type Part, speedometer } from './speed.ts'

/** Shows events until it is closed. */
export interface Terminal {
  readonly listen: Listener
  /** Takes the bar away, whatever state it is in. */
  close(): void
}

/** Chooses how to show events: for machines, on a terminal, or in a log. */
export function openTerminal({ json }: { readonly json: boolean }): Terminal {
  if (json) return machineLines()
  return process.stderr.isTTY ? bars() : plainLines()
}

function machineLines(): Terminal {
  const listen = (event: RunEvent) => {
    process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`)
  }
  return { listen, close: () => undefined }
}

const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

function plainLines(): Terminal {
  let speed = speedometer()
  let place = ''
  const linesOf = teller()
  const listen = (event: RunEvent) => {
    if (event.event === 'stage-start') {
      speed = speedometer()
      place = placeOf(event)
      say(`${place}: started`)
    } else if (event.event === 'progress') {
      const parts = speed(event)
      if (event.epochDone) say(`${place}: ${inWords(parts)}`)
    } else for (const line of linesOf(event)) say(line)
  }
  return { listen, close: () => undefined }
}

function bars(): Terminal {
  let speed = speedometer()
  let shown = { label: '', done: 0, parts: [] as readonly Part[] }
  const linesOf = teller()
  const bold = (label: string) => paint(label, 'bold')
  const bar = new SingleBar({
    // The last column stays free: some terminals begin a new line when it is written.
    format: () => barLine(shown, (process.stderr.columns || 80) - 1, bold),
    hideCursor: true,
    clearOnComplete: true,
    // The command line itself decides what Ctrl-C does.
    gracefulExit: false,
    stream: process.stderr,
  })
  const start = (label: string) => {
    stop()
    shown = { label, done: 0, parts: [] }
    bar.start(1, 0)
  }
  const stop = () => bar.stop()
  const update = (done: number, parts: readonly Part[]) => {
    shown = { ...shown, done, parts }
    bar.update(done)
  }
  const listen = (event: RunEvent) => {
    if (event.event === 'stage-start') {
      speed = speedometer()
      start(placeOf(event))
    } else if (event.event === 'progress') update(event.done, speed(event))
    else if (event.event === 'benchmark-start') {
      linesOf(event)
      start('benchmark')
    } else if (event.event === 'benchmark-progress') {
      if (!bar.isActive) start('benchmark')
      update(event.done, [{ long: event.what, short: event.what }])
    } else {
      const lines = linesOf(event)
      if (lines.length === 0) return
      // A bar owns the last line: it goes, and where the step is not over it comes back below the text.
      const goesOn = event.event === 'log' && bar.isActive
      stop()
      for (const line of lines) say(line)
      if (goesOn) bar.start(1, shown.done)
    }
  }
  // However the process ends, the terminal gets its cursor back.
  process.on('exit', stop)
  const close = () => {
    stop()
    process.removeListener('exit', stop)
  }
  return { listen, close }
}

const placeOf = ({ id, step, steps }: { id: string; step: number; steps: number }): string =>
  step === 0 ? id : `[${step}/${steps}] ${id}`

/** Says events in words; progress and the starts of stages have forms of their own. */
function teller(): (event: RunEvent) => string[] {
  let benchmarkStart = 0
  return (event) => {
    switch (event.event) {
      case 'stage-done': {
        const { cached, seconds, sizeBytes, summary } = event
        const how = cached ? 'kept from an earlier run' : formatDuration(seconds)
        const what = summary ? `: ${summary}` : ''
        return [`${tick()} ${placeOf(event)}: ${how}, ${formatBytes(sizeBytes)}${what}`]
      }
      case 'log':
        return [event.id ? `${event.id}: ${event.message}` : event.message]
      case 'benchmark-start':
        benchmarkStart = performance.now()
        return [`benchmark: measuring the teacher and ${event.variants} more`]
      case 'run-done':
        return [
          `${tick()} benchmark: ${formatDuration((performance.now() - benchmarkStart) / 1000)}`,
        ]
      default:
        return []
    }
  }
}

const tick = (): string => paint('✓', 'green')

const colours = { bold: [1, 22], green: [32, 39], red: [31, 39] } as const

/** Colours a text where stderr is a terminal and NO_COLOR (no-color.org) is not set. */
export function paint(text: string, colour: keyof typeof colours): string {
  if (!process.stderr.isTTY || process.env.NO_COLOR) return text
  const [on, off] = colours[colour]
  return `\u001b[${on}m${text}\u001b[${off}m`
}
