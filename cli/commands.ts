// The commands. This table is all that `condense --help` loads: what a command does is imported when it is named.
import type { Argv } from 'yargs'

/** Options of a command as the parser leaves them. */
export type Arguments = Readonly<Record<string, unknown>>

/** What the commands share of the world. */
export interface CommandContext {
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** A command's own file. */
export interface CommandModule {
  /** Declares positionals and options. */
  build(yargs: Argv): Argv
  /** Does it, and gives the exit code: 0, or 3 where a gate failed. */
  execute(args: Arguments, context: CommandContext): Promise<number>
}

/** A command as `condense --help` lists it. */
export interface Command {
  /** The name and its positionals. */
  readonly usage: string
  readonly summary: string
  load(): Promise<CommandModule>
}

const stage = (name: string, summary: string, positional = '<model>'): Command => ({
  usage: `${name} ${positional}`,
  summary,
  load: async () => (await import('./stage.ts')).stageCommand(name),
})

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  {
    usage: 'run [recipe]',
    summary: 'Run a recipe: train, distil, prune, quantize, measure and report',
    load: () => import('./run.ts'),
  },
  {
    usage: 'init [model]',
    summary: 'Write a commented recipe for a model and data',
    load: () => import('./init.ts'),
  },
  stage('train', 'Train or fine-tune a model on the labels of the data'),
  stage('distill', 'Train a small student to answer as the teacher does'),
  stage('prune', 'Cut the least important channels, or zero the least important weights'),
  stage('factorize', 'Replace layers by chains of smaller ones of lower rank'),
  stage('quantize', 'Store weights and activations in fewer bits'),
  stage('optimize', 'Simplify the graph without changing its outputs'),
  stage('export', 'Set the opset and the metadata of the file'),
  {
    usage: 'bench <models..>',
    summary: 'Measure models against a teacher',
    load: () => import('./bench.ts'),
  },
  {
    usage: 'compare <models..>',
    summary: 'Put models of several runs, or files, side by side',
    load: () => import('./compare.ts'),
  },
  {
    usage: 'profile <model>',
    summary: 'Show what each layer costs, and what compression did to it',
    load: () => import('./profile.ts'),
  },
  {
    usage: 'sensitivity <model>',
    summary: 'Show what a model loses where it is pruned or quantized',
    load: () => import('./sensitivity.ts'),
  },
  {
    usage: 'nightly <suite>',
    summary: 'Run many recipes, and compare them with the nights before',
    load: () => import('./nightly.ts'),
  },
  {
    usage: 'explain <run>',
    summary: 'Show what the students of a run learned from, and what of it helped',
    load: () => import('./explain.ts'),
  },
  {
    usage: 'report <run>',
    summary: 'Render the report of a run again, into all of its files',
    load: () => import('./report.ts'),
  },
  {
    usage: 'inspect <model>',
    summary: 'Show what is in a model',
    load: () => import('./inspect.ts'),
  },
  {
    usage: 'schema',
    summary: 'Print the JSON Schema of recipes, or of suites',
    load: () => import('./schema.ts'),
  },
  {
    usage: 'ops',
    summary: 'Show which operators can be trained through',
    load: () => import('./ops.ts'),
  },
  {
    usage: 'doctor',
    summary: 'Show what this machine can do, and why not',
    load: () => import('./doctor.ts'),
  },
  {
    usage: 'cache <action>',
    summary: 'List or clear the finished stages that are kept',
    load: () => import('./cache.ts'),
  },
]
