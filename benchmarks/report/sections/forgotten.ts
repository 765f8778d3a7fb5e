// What the teacher had right and variants have wrong: how much, which classes are confused, and samples to look at.
import type { Block, ShownSample } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import { counted, everyVariant, headline } from '../judge.ts'
import type { Answer, ForgottenSample, Report, Variant } from '../report.ts'
import { missing, seriesOf, variantCell } from './cells.ts'

/** So many confusions are told of a variant, and more of the one that the verdict speaks of. */
const toldConfusions = 3

/** Shows the confusions that changed and the samples; nothing where variants were not looked at. */
export function forgotten(report: Report): Block[] {
  const measured = report.variants.flatMap((variant) =>
    variant.forgotten && variant.failed === undefined
      ? [{ variant, found: variant.forgotten }]
      : [],
  )
  if (measured.length === 0) return []
  const first = headline(report)
  const confusions = measured.flatMap(({ variant, found }) =>
    found.confusions
      .slice(0, variant === first ? undefined : toldConfusions)
      .map((confusion) => ({ variant, confusion })),
  )
  const samples = report.samples ?? []
  return [
    {
      kind: 'table',
      caption: "Of the teacher's right answers",
      columns: [
        { title: 'Variant', align: 'left' },
        { title: 'Forgotten', align: 'right' },
        { title: 'Share', align: 'right' },
      ],
      rows: measured.map(({ variant, found: { count, of } }) => [
        variantCell(report, variant),
        { text: `${count} of ${of}` },
        of > 0 ? { text: formatPercent(count / of) } : missing,
      ]),
    },
    ...(confusions.length > 0 ? [confusionTable(report, confusions)] : []),
    ...(samples.length > 0
      ? [
          {
            kind: 'samples',
            caption: `${counted(samples.length, 'sample')} that the teacher has right, of each class those that were lost most clearly`,
            samples: samples.map((sample) => shownOf(report, sample)),
          } as const,
          { kind: 'paragraph', text: aboutSamples(samples) } as const,
        ]
      : []),
  ]
}

function aboutSamples(samples: readonly ForgottenSample[]): string {
  const silent = samples.some(({ sound }) => sound && sound.source === undefined)
  const more = silent ? ' Sounds that would make it too long are drawn alone.' : ''
  return `The samples are a part of this file and of report.json; 'samples: false' in the recipe's benchmark, or --no-samples, leaves them out.${more}`
}

function confusionTable(
  report: Report,
  confusions: readonly {
    readonly variant: Variant
    readonly confusion: NonNullable<Variant['forgotten']>['confusions'][number]
  }[],
): Block {
  return {
    kind: 'table',
    caption: 'Confusions that changed most',
    columns: [
      { title: 'Variant', align: 'left' },
      { title: 'Samples', align: 'right' },
      { title: "Teacher's", align: 'right' },
      { title: 'Class, and what it is taken for', align: 'left' },
    ],
    rows: confusions.map(({ variant, confusion: { actual, answer, count, teacher } }) => [
      variantCell(report, variant),
      count > teacher ? { text: `▲ ${count}`, mark: 'bad' as const } : { text: String(count) },
      { text: String(teacher) },
      { text: `${actual} → ${answer}` },
    ]),
  }
}

function shownOf(report: Report, sample: ForgottenSample): ShownSample {
  const { index, actual, teacher, answers, texts = [], image, sound } = sample
  return {
    title: actual,
    name: `test sample ${index}, class ${actual}`,
    texts,
    ...(image && { image }),
    ...(sound && { sound }),
    answers: [
      { who: 'teacher', series: 0, answer: written(teacher) },
      ...answers.map(({ variant, ...answer }) => {
        const found = everyVariant(report).find(({ id }) => id === variant)
        return {
          who: variant,
          ...(found && { series: seriesOf(report, found) }),
          answer: written(answer),
        }
      }),
    ],
  }
}

const written = ({ answer, confidence }: Answer): string =>
  answer === null || confidence === null
    ? 'no answer'
    : `${answer} (${formatPercent(confidence, 0)})`
