// How the time of a training step grows with batch size and depth; drawn to docs/training-time.svg.
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { linearRegression, linearRegressionLine, rSquared } from 'simple-statistics'
import { writeAtomically } from '../../base/files.ts'
import { palette } from '../report/plots/palette.ts'
import type { Answer, Question } from './question.ts'
import { type TrainCaseName, trainCases } from './train-models.ts'
import { engineTrainer, measureRounds } from './train-process.ts'

const rounds = 5
const file = join('docs', 'training-time.svg')

const batches = [16, 32, 64, 96, 128]
const depths = [1, 2, 4, 6, 8]
const cases: readonly TrainCaseName[] = ['cnn', 'transformer']

/** One measured point. */
interface Point {
  readonly name: TrainCaseName
  readonly x: number
  readonly ms: number
}

/** Steps at several batch sizes and depths, and how much of the times a straight line explains. */
export const trainGrowth: Question = {
  summary: `a training step by batch size and by depth, drawn to ${file}`,
  async answer() {
    const byBatch = await sweep(batches, (batch) => ({ batch, depth: 1 }))
    const byDepth = await sweep(depths, (depth, name) => ({ depth, batch: trainCases[name].batch }))
    writeAtomically(file, draw(byBatch, byDepth))
    return [...answersFor('batch', byBatch), ...answersFor('depth', byDepth)]
  },
}

async function sweep(
  sizes: readonly number[],
  step: (size: number, name: TrainCaseName) => { readonly batch: number; readonly depth: number },
): Promise<Point[]> {
  const threads = availableParallelism()
  const points: Point[] = []
  for (const name of cases) {
    const contestants = sizes.map((size) => ({
      trainer: engineTrainer('onnx'),
      step: { name, threads, ...step(size, name) },
    }))
    const measured = await measureRounds(contestants, rounds)
    for (const [index, list] of measured.entries()) {
      if (!list) throw new Error(`internal: the training step of '${name}' failed`)
      // The best round is the one that other work on the machine disturbed least.
      points.push({ name, x: sizes[index]!, ms: Math.min(...list.map(({ ms }) => ms)) })
    }
  }
  return points
}

function answersFor(what: string, points: readonly Point[]): Answer[] {
  return cases.flatMap((name) => {
    const own = points.filter((point) => point.name === name)
    const pairs = own.map(({ x, ms }) => [x, ms])
    const line = linearRegressionLine(linearRegression(pairs))
    return [
      ...own.map(
        ({ x, ms }) => ({ what: `${name}, ${what} ${x}`, unit: 'ms', values: [ms] }) as const,
      ),
      { what: `${name}, R² over ${what}`, unit: 'of 1', values: [rSquared(pairs, line)] } as const,
    ]
  })
}

const [width, height] = [420, 300]

/** Both sweeps side by side, with the straight lines that fit best. */
function draw(byBatch: readonly Point[], byDepth: readonly Point[]): string {
  const plots = [plot(byBatch, 'Batch size'), plot(byDepth, 'Depth, times the smallest network')]
  const placed = plots.map((svg, index) => svg.replace('<svg', `<svg x="${index * width}" y="0"`))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * width}" height="${height}" viewBox="0 0 ${2 * width} ${height}" font-family="system-ui, sans-serif">`,
    '<title>Time of a training step by batch size and by depth</title>',
    `<rect width="100%" height="100%" fill="#ffffff"/>${placed.join('')}</svg>\n`,
  ].join('')
}

function plot(points: readonly Point[], label: string): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const colors = cases.map((_, index) => palette[index]!.light)
  const svg = Plot.plot({
    ...{ width, height, document, className: 'plot', marginLeft: 50, marginBottom: 40 },
    x: {
      label,
      labelArrow: 'none',
      labelAnchor: 'center',
      domain: [0, Math.max(...points.map(({ x }) => x))],
    },
    y: {
      label: `ms a step, best of ${rounds} rounds`,
      labelArrow: 'none',
      grid: true,
      domain: [0, Math.max(...points.map(({ ms }) => ms))],
    },
    color: { domain: cases, range: colors },
    marks: [
      Plot.linearRegressionY(points, {
        x: 'x',
        y: 'ms',
        stroke: 'name',
        ci: 0,
        strokeDasharray: '4 3',
      }),
      Plot.dot(points, { x: 'x', y: 'ms', fill: 'name', r: 4 }),
      Plot.text(
        points,
        Plot.selectLast({
          x: 'x',
          y: 'ms',
          z: 'name',
          text: 'name',
          fill: 'name',
          textAnchor: 'end',
          dy: -12,
          fontSize: 12,
        }),
      ),
    ],
  }) as unknown as { querySelector(selector: string): { remove(): void } | null; outerHTML: string }
  svg.querySelector('style')?.remove()
  return svg.outerHTML
}
