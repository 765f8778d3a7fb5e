// The options of factorization: one flat object, so that the command line has a flag for each.
import { z } from 'zod'
import { recoverOptions } from '../recover.ts'
import { methodNames, methods } from './methods.ts'

const share = z.number().gt(0).lt(1)

/** What says how large the factors are; exactly one of them is given. */
const amounts = ['rank', 'energy', 'target'] as const

const method = z.enum(['auto', ...methodNames])

/** The schema of the stage. */
export const factorizeOptions = z
  .strictObject({
    stage: z.literal('factorize'),
    method: z
      .union([method, z.array(z.enum(methodNames)).min(1)])
      .default('auto')
      .describe(
        `How layers are taken apart: ${methodNames.join(', ')}, several of them as [svd, tucker-2], or auto: for each layer the one that loses least at the same MACs.`,
      ),
    rank: z
      .union([z.int().min(1), share, z.literal('vbmf')])
      .optional()
      .describe(
        'The rank of every layer: a number, a share of the full rank (below 1), or vbmf: what variational Bayes takes for more than noise.',
      ),
    energy: share
      .optional()
      .describe('Share of the sum of the squares of each weight that the factors keep, as 0.95.'),
    target: z
      .strictObject({
        macs: share.optional().describe("Share of the model's multiply-accumulates that remains."),
        parameters: share.optional().describe("Share of the model's parameters that remains."),
      })
      .optional()
      .describe('What remains of the whole model; exactly one of macs and parameters.'),
    ratios: z
      .enum(['error', 'sensitivity', 'uniform'])
      .optional()
      .describe(
        'target: how layers share it. error: where weights lose least (unless given); sensitivity: where the outputs on samples suffer least; uniform: all alike.',
      ),
    round: z
      .int()
      .min(1)
      .default(1)
      .describe('Ranks are multiples of this, or full; providers are faster at multiples of 8.'),
    fit: z
      .enum(['weights', 'outputs'])
      .default('weights')
      .describe(
        "What is kept as well as can be: the weights, or the layer's outputs on calibration samples (svd and channel-svd).",
      ),
    samples: z
      .int()
      .min(1)
      .optional()
      .describe('fit: outputs, ratios: sensitivity: calibration samples; 256 unless given.'),
    layers: z
      .array(z.string())
      .min(1)
      .optional()
      .describe("Layers to factorize: names, globs, 're:…' or 'op:…'; all unless given."),
    exclude: z
      .array(z.string())
      .default([])
      .describe("Layers to leave alone: names, globs, 're:…' or 'op:…'."),
    recover: recoverOptions.optional(),
  })
  .superRefine((options, context) => {
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message })
    const given = amounts.filter((key) => options[key] !== undefined)
    if (given.length !== 1) refuse([], `expected exactly one of ${amounts.join(', ')}`)
    const { target, ratios, fit, samples, method: asked } = options
    if (target && (target.macs === undefined) === (target.parameters === undefined))
      refuse(['target'], 'expected exactly one of macs, parameters')
    if (ratios && !target) refuse(['ratios'], 'goes with target alone')
    if (samples !== undefined && fit === 'weights' && ratios !== 'sensitivity')
      refuse(['samples'], "goes with fit: 'outputs' or ratios: 'sensitivity' alone")
    if (fit === 'outputs' && asked !== 'auto')
      for (const name of [asked].flat())
        if (!methods[name].fitsOutputs)
          refuse(['fit'], `'outputs' does not go with method '${name}'`)
  })

/** Resolved options of the stage. */
export type FactorizeOptions = z.output<typeof factorizeOptions>

/** Whether the stage looks at samples, besides recovery. */
export const needsSamples = ({ fit, ratios }: FactorizeOptions): boolean =>
  fit === 'outputs' || ratios === 'sensitivity'

/** Calibration samples that are looked at. */
export const samplesOf = ({ samples }: FactorizeOptions): number => samples ?? 256
