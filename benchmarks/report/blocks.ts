// What a report section is made of: plain data that every renderer understands. All text is unescaped.

/** A judgement that renderers show by a sign and a colour. */
export type Mark = 'good' | 'bad' | 'muted'

/** One cell of a table. */
export interface Cell {
  readonly text: string
  /** A second, quieter line. */
  readonly note?: string
  readonly mark?: Mark
  /** The number of the variant (0 is the teacher) whose colour stands before the text. */
  readonly series?: number
  /** A file that tells more, relative to the page. */
  readonly link?: string
}

/** One column of a table. */
export interface Column {
  readonly title: string
  readonly align: 'left' | 'right'
  /** The unit of all its cells, shown below the title. */
  readonly unit?: string
}

/** Rows below titled columns; the first cell of a row names the row. */
export interface Table {
  readonly kind: 'table'
  readonly caption: string
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly Cell[])[]
}

/** An axis: what it shows, how its ticks are written, and where they are (`whole` has them at whole numbers). */
export interface Axis {
  readonly label: string
  readonly format: (value: number) => string
  readonly scale: 'linear' | 'log' | 'whole'
}

/** A point of a scatter plot; `low` and `high` bound its value. */
export interface Point {
  readonly label: string
  /** What the card of the point tells, a line each. */
  readonly facts: readonly { readonly name: string; readonly value: string }[]
  readonly series: number
  readonly x: number
  readonly y: number
  readonly low: number
  readonly high: number
  readonly onFront: boolean
}

/** A line of a plot of curves, its points by rising x. */
export interface Curve {
  readonly label: string
  readonly series: number
  readonly dashed: boolean
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** A dot of a plot of rows; `high`, where present, ends a line that starts at `x`. */
export interface Dot {
  readonly row: string
  readonly title: string
  readonly series: number
  readonly x: number
  readonly high?: number
  /** Single values behind the dot, each of them a stroke. */
  readonly strip?: readonly number[]
}

/** Points with intervals; the filled ones lie on the Pareto front. */
export interface ScatterSpec {
  readonly plot: 'scatter'
  /** Whether every point has its name beside it, or only those that have room for it. */
  readonly names: 'all' | 'with-room'
  readonly x: Axis
  readonly y: Axis
  readonly points: readonly Point[]
}

/** Lines over a common horizontal axis. */
export interface CurvesSpec {
  readonly plot: 'curves'
  readonly x: Axis
  readonly y: Axis
  readonly curves: readonly Curve[]
}

/** Named rows of dots over a common horizontal axis. */
export interface DotsSpec {
  readonly plot: 'dots'
  readonly x: Axis
  readonly rows: readonly string[]
  readonly dots: readonly Dot[]
  /** Where a line marks the value of the teacher. */
  readonly reference?: number
}

/** The values of one measure over many nights, in the band in which noise would leave them. */
export interface TrendSpec {
  readonly plot: 'trend'
  readonly x: Axis
  readonly y: Axis
  /** By rising x; many are drawn as the range and the mean of neighbours. */
  readonly points: readonly { readonly x: number; readonly y: number }[]
  /** By rising x, one stretch of an unbroken band each. */
  readonly bands: readonly (readonly {
    readonly x: number
    readonly low: number
    readonly high: number
  }[])[]
  readonly flagged: readonly {
    readonly x: number
    readonly y: number
    readonly mark: 'good' | 'bad'
    readonly title: string
  }[]
  /** Where a new level was accepted. */
  readonly accepted: readonly number[]
}

/** What a plot shows, without a word on how it is drawn. */
export type PlotSpec = ScatterSpec | CurvesSpec | DotsSpec | TrendSpec

/** A plot with its caption; `legend` names the series that it shows without labels. */
export interface Plot {
  readonly kind: 'plot'
  readonly caption: string
  readonly spec: PlotSpec
  readonly legend?: readonly { readonly label: string; readonly series: number }[]
}

/** A number that a reader should see first. */
export interface Figure {
  readonly value: string
  readonly label: string
  readonly note: string
  readonly mark?: Mark
}

/** A sample of the data and what models say of it. */
export interface ShownSample {
  /** What stands above it. */
  readonly title: string
  /** What it is, for people who do not see it. */
  readonly name: string
  readonly texts: readonly string[]
  /** Sources are `data:` addresses; sizes are in pixels. */
  readonly image?: { readonly source: string; readonly width: number; readonly height: number }
  readonly sound?: {
    readonly source?: string | undefined
    readonly seconds: number
    /** The loudness of equal parts, 0..1. */
    readonly peaks: readonly number[]
  }
  readonly answers: readonly {
    readonly who: string
    readonly series?: number
    readonly answer: string
  }[]
}

/** Samples to look at. */
export interface Samples {
  readonly kind: 'samples'
  readonly caption: string
  readonly samples: readonly ShownSample[]
}

/** A part of a section. */
export type Block =
  | { readonly kind: 'paragraph'; readonly text: string }
  | { readonly kind: 'statement'; readonly text: string }
  | { readonly kind: 'figures'; readonly figures: readonly Figure[] }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | {
      readonly kind: 'code'
      readonly caption: string
      readonly language: string
      readonly text: string
    }
  | Table
  | Plot
  | Samples
