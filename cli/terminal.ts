// How events look: all steps of a run on a terminal, plain lines in a log, one JSON object a line for machines. Progress
// goes to stderr, so that stdout holds results alone.
import { formatBytes } from '../benchmarks/report/format.ts'
import type { Listener, RunEvent } from '../pipeline/events.ts'
import { placeOf } from './board.ts'
import { formatDuration } from './duration.ts'
import { liveView } from './live.ts'
import { inWords, speedometer } from './speed.ts'

/** Shows events until it is closed. */
export interface Terminal {
  readonly listen: Listener
  /** Says which of many runs begins. */
  begin(title: string): void
  /** Leaves on the terminal what is to stay, whatever state the run is in. */
  close(): void
}

/** Chooses how to show events: for machines, on a terminal, or in a log. */
export function openTerminal({ json }: { readonly json: boolean }): Terminal {
  if (json) return machineLines()
  // A dumb terminal has one line, which it never goes back to.
  return process.stderr.isTTY && process.env.TERM !== 'dumb' ? liveView() : plainLines()
}

function machineLines(): Terminal {
  const listen = (event: RunEvent) => {
    process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`)
  }
  return lines(listen)
}

/** Events that are told one after the other. */
const lines = (listen: Listener): Terminal => ({
  listen,
  begin: (message) => listen({ event: 'log', message }),
  close: () => undefined,
})

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
  return lines(listen)
}

/** Says events in words; progress and the starts of stages have forms of their own. */
function teller(): (event: RunEvent) => string[] {
  let benchmarkStart = 0
  return (event) => {
    switch (event.event) {
      case 'stage-done': {
        const { cached, seconds, sizeBytes, summary } = event
        const how = cached ? 'kept from an earlier run' : formatDuration(seconds)
        const what = summary ? `: ${summary}` : ''
        return [`✓ ${placeOf(event)}: ${how}, ${formatBytes(sizeBytes)}${what}`]
      }
      case 'log':
        return [event.id ? `${event.id}: ${event.message}` : event.message]
      case 'benchmark-start':
        benchmarkStart = performance.now()
        return [`benchmark: measuring the teacher and ${event.variants} more`]
      case 'run-done':
        return [`✓ benchmark: ${formatDuration((performance.now() - benchmarkStart) / 1000)}`]
      default:
        return []
    }
  }
}
