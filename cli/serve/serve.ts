// A run that browsers on this machine can watch: its page follows the events, and becomes the report.
import { messageOf } from '../../base/errors.ts'
import { renderSection } from '../../benchmarks/report/html.ts'
import type { Report } from '../../benchmarks/report/report.ts'
import type { Listener } from '../../pipeline/events.ts'
import { openBoard } from '../board.ts'
import { type Course, livePage, progressSection } from './page.ts'
import { openSite } from './server.ts'

/** A run that is served. */
export interface Served {
  readonly url: string
  /** Takes the events of the run. */
  readonly listen: Listener
  /** Shows what has been measured so far; settled when those who look at it have drawn it. */
  partial(report: Report): Promise<void>
  /** Shows the report as it is on disk. */
  done(html: string): Promise<void>
  /** Says why there will be none. */
  failed(message: string): Promise<void>
  close(): Promise<void>
}

/** So often the numbers of a step that runs are sent at most, ms. */
const quietMs = 1000

/**
 * Serves the page of a run on 127.0.0.1, at a port that is free unless one is given.
 *
 * Nothing of it disturbs what is timed. No clock makes it render: in a stage an event does, at most once a second, and a
 * page when somebody asks for it; in the benchmark the page is rendered between two measurements, which wait until it has
 * been drawn, and whoever asks in between gets it as it was then. Its `benchmark-progress` comes before the warm-up and
 * changes a line of a table.
 */
export async function serve(
  { name, port = 0, log }: { name: string; port?: number | undefined; log: (line: string) => void },
  { render = livePage, now = () => performance.now() } = {},
): Promise<Served> {
  const board = openBoard(now)
  const courses = new Map<string, Course>()
  let report: Report | undefined
  let failure: string | undefined
  let title = name
  let html: string | undefined
  let isMeasuring = false
  let sent = Number.NEGATIVE_INFINITY
  const known = () => ({
    name: title,
    rows: board.rows(),
    courses: [...courses.values()],
    failed: failure,
    report,
  })
  const drawn = () => {
    try {
      return render(known())
    } catch (thrown) {
      // A page that cannot be drawn is no reason to lose a run of hours.
      log(`the page shows its steps alone: ${messageOf(thrown)}`)
      report = undefined
      courses.clear()
      return render(known())
    }
  }
  const page = () => {
    html ??= drawn()
    return html
  }
  const site = await openSite(port, page)
  const announce = () => {
    html = undefined
    // In the benchmark whoever comes later must find it ready.
    if (isMeasuring) page()
    return site.announce()
  }
  const sendProgress = () =>
    site.send('progress', () => JSON.stringify(renderSection(progressSection(known()))))
  const isQuiet = () => {
    const time = now()
    if (time - sent < quietMs) return true
    sent = time
    return false
  }
  const listen: Listener = (event) => {
    board.take(event)
    switch (event.event) {
      case 'run-start':
        title = event.name
        void announce()
        break
      case 'benchmark-start':
        isMeasuring = true
        void announce()
        break
      case 'stage-start':
      case 'stage-done':
        void announce()
        break
      case 'progress': {
        const { id, epochDone, epoch, accuracy, metric = 'top1' } = event
        if (!isMeasuring) html = undefined
        if (epochDone && epoch !== undefined && accuracy !== undefined) {
          const before = courses.get(id)?.points ?? []
          courses.set(id, { label: id, metric, points: [...before, { x: epoch, y: accuracy }] })
          if (!isQuiet()) void announce()
        } else if (!isQuiet()) sendProgress()
        break
      }
      case 'benchmark-progress':
        isMeasuring = true
        sendProgress()
    }
  }
  return {
    url: site.url,
    listen,
    async partial(measured) {
      report = measured
      isMeasuring = true
      await announce()
    },
    async done(written) {
      html = written
      await site.announce()
      site.end()
    },
    async failed(message) {
      board.end()
      failure = message
      await announce()
      site.end()
    },
    close: () => site.close(),
  }
}
