// How events look: a progress bar for each step on a terminal, plain lines in a log, one JSON object a line for
// machines. Progress goes to stderr, so that stdout holds results alone.
import { SingleBar } from 'cli-progress'
import { formatBytes } from '../benchmarks/report/format.ts'
import type { Listener, RunEvent } from '../pipeline/events.ts'
import { formatDuration } from './duration.ts'
import { speedometer } from './speed.ts'

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
  let epoch: number | undefined
  const listen = (event: RunEvent) => {
    if (event.event === 'stage-start') {
      speed = speedometer()
      epoch = undefined
      place = placeOf(event)
      say(`${place}: started`)
    } else if (event.event === 'progress') {
      const line = speed(event)
      if (event.epoch !== epoch) say(`${place}: ${line}`)
      epoch = event.epoch
    } else if (event.event !== 'benchmark-progress') for (const line of linesOf(event)) say(line)
  }
  return { listen, close: () => undefined }
}

function bars(): Terminal {
  let bar: SingleBar | undefined
  let speed = speedometer()
  const start = (label: string) => {
    stop()
    speed = speedometer()
    bar = new SingleBar({
      format: `${paint(label.padEnd(22), 'bold')} {bar} {percentage} %  {text}`,
      barsize: 24,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      stream: process.stderr,
    })
    bar.start(1000, 0, { text: '' })
  }
  const stop = () => {
    bar?.update(1000)
    bar?.stop()
    bar = undefined
  }
  /** A bar owns the last line; text goes above it. */
  const above = (event: RunEvent) => {
    const lines = linesOf(event)
    if (lines.length > 0) process.stderr.write('\r\u001b[2K')
    for (const line of lines) say(line)
  }
  const listen = (event: RunEvent) => {
    if (event.event === 'stage-start') start(placeOf(event))
    else if (event.event === 'progress')
      bar?.update(Math.round(event.done * 1000), { text: speed(event) })
    else if (event.event === 'benchmark-progress') {
      if (!bar) start('benchmark')
      bar?.update(Math.round(event.done * 1000), { text: event.what })
    } else {
      if (event.event !== 'log') stop()
      above(event)
    }
  }
  return { listen, close: stop }
}

const placeOf = ({ id, step, steps }: { id: string; step: number; steps: number }): string =>
  step === 0 ? id : `[${step}/${steps}] ${id}`

/** What an event says in words; progress and starts have forms of their own. */
function linesOf(event: RunEvent): string[] {
  switch (event.event) {
    case 'stage-done': {
      const { cached, seconds, sizeBytes, summary } = event
      const how = cached ? 'kept from an earlier run' : formatDuration(seconds)
      const what = summary ? `: ${summary}` : ''
      return [`${paint('✓', 'green')} ${placeOf(event)}: ${how}, ${formatBytes(sizeBytes)}${what}`]
    }
    case 'log':
      return [event.id ? `${event.id}: ${event.message}` : event.message]
    case 'benchmark-start':
      return [`benchmark: measuring the teacher and ${event.variants} more`]
    default:
      return []
  }
}

const colours = { bold: [1, 22], green: [32, 39], red: [31, 39] } as const

/** Colours a text where stderr is a terminal and NO_COLOR (no-color.org) is not set. */
export function paint(text: string, colour: keyof typeof colours): string {
  if (!process.stderr.isTTY || process.env.NO_COLOR) return text
  const [on, off] = colours[colour]
  return `\u001b[${on}m${text}\u001b[${off}m`
}
