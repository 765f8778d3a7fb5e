// The sections of a report, one row each, in reading order; every renderer shows all of them.
import type { Block } from './blocks.ts'
import type { Report } from './report.ts'
import { advice } from './sections/advice.ts'
import { classes } from './sections/classes.ts'
import { figuresSection } from './sections/figures.ts'
import { forgotten } from './sections/forgotten.ts'
import { gates } from './sections/gates.ts'
import { journey } from './sections/journey.ts'
import { knowledge } from './sections/knowledge.ts'
import { latency } from './sections/latency.ts'
import { layers } from './sections/layers.ts'
import { providers } from './sections/providers.ts'
import { reproduce } from './sections/reproduce.ts'
import { tradeoffs } from './sections/tradeoffs.ts'
import { training } from './sections/training.ts'
import { verdictSection } from './sections/verdict.ts'

/** A part of the report under one heading. */
export interface Section {
  readonly title: string
  /** How to read it, in a sentence or two. */
  readonly intro?: string
  /** The content; a section without any is left out. */
  readonly build: (report: Report) => readonly Block[]
  /** What becomes of it in report.md, which stays short; it is shown unless told otherwise. */
  readonly inMarkdown?: 'folded' | 'absent'
}

/** All sections by the name that links to them. */
export const sections = {
  verdict: { title: 'Verdict', build: verdictSection },
  gates: {
    title: 'Gates',
    intro: 'Limits that the recipe sets. A failed gate fails the run.',
    build: gates,
  },
  advice: {
    title: 'Advice',
    intro: 'What was measured on the way, and what could be done about it.',
    build: advice,
  },
  journey: {
    title: 'From the teacher to each variant',
    intro:
      'One row a variant. The first figure is measured on the test split, with its 95 % interval; the quieter ' +
      'lines of sizes and latencies are relative to the teacher, and ▲ marks what got worse.',
    build: journey,
  },
  tradeoffs: {
    title: 'Quality against cost',
    intro:
      'Up and to the left is better. Filled points lie on the Pareto front: nothing else here is both ' +
      'cheaper and as good. Bars are 95 % intervals.',
    build: tradeoffs,
    inMarkdown: 'absent',
  },
  figures: {
    title: 'All figures',
    intro: 'Everything that the task measures, on the test split. ↓ marks errors: less is better.',
    build: figuresSection,
    inMarkdown: 'folded',
  },
  training: {
    title: 'Training',
    intro:
      'How good it was on the held-out validation split, which chooses the best epoch, and the loss.',
    build: training,
    inMarkdown: 'absent',
  },
  classes: {
    title: 'Retention by class',
    intro:
      "Each class by itself, over the teacher's figure for that class: what an average can hide.",
    build: classes,
    inMarkdown: 'absent',
  },
  forgotten: {
    title: 'What was forgotten',
    intro:
      'Test samples that the teacher has right and a variant has wrong. An answer stands with its confidence.',
    build: forgotten,
    inMarkdown: 'absent',
  },
  knowledge: {
    title: "What is left of the teacher's knowledge",
    intro:
      'The same accuracy can hide other answers. Answers and calibration are those of the whole test split, the rest of ' +
      'evenly spread samples of it; everything is measured on the CPU.',
    build: knowledge,
    inMarkdown: 'absent',
  },
  latency: {
    title: 'Latency',
    intro:
      'Median, 90th and 99th percentile of one run after warm-up, in interleaved rounds. ' +
      'The quieter line of a relative time is its 95 % bootstrap interval.',
    build: latency,
    inMarkdown: 'absent',
  },
  layers: {
    title: 'Layers',
    intro:
      'Where the time of a run goes, node by node as ONNX Runtime runs the model: several layers of the file may ' +
      'have become one node. Bits are those that the file spends on a weight.',
    build: layers,
    inMarkdown: 'absent',
  },
  providers: {
    title: 'Providers',
    intro:
      'Where each file really ran: agreement is the share of samples with the prediction of the CPU, ' +
      'nodes are those of the optimized graph.',
    build: providers,
    inMarkdown: 'folded',
  },
  reproduce: {
    title: 'Reproduce',
    intro: 'The same recipe, seed, machine type, provider and thread count give the same files.',
    build: reproduce,
    inMarkdown: 'folded',
  },
} as const satisfies Record<string, Section>

/** A section with its content, ready to be rendered. */
export interface BuiltSection {
  readonly id: string
  readonly title: string
  readonly intro: string | undefined
  readonly inMarkdown?: Section['inMarkdown']
  readonly blocks: readonly Block[]
}

/** The sections of a report that have something to say. */
export function buildSections(report: Report): BuiltSection[] {
  return Object.entries<Section>(sections)
    .map(([id, { title, intro, inMarkdown, build }]) => ({
      ...{ id, title, intro, blocks: build(report) },
      ...(inMarkdown && { inMarkdown }),
    }))
    .filter(({ blocks }) => blocks.length > 0)
}
