// Cutting the architectures; those that groups.test.ts has, and more seeds, are in the slow tests.
import { it } from '@jest/globals'
import { architectures, expectArchitecture } from './expected-architectures.ts'

const quick = /^(conv1d|bilstm|bert|vit|autoencoder|two-tower)/

it.each(architectures.filter((what) => quick.test(what)))(
  '30 %% of every group of %s are cut as if they were not there',
  (what) => expectArchitecture(what, [1]),
)
