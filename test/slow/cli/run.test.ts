// A run that SIGTERM ended goes on as one after Ctrl-C does.
import { it } from '@jest/globals'
import { expectInterruptions } from '../../cli/interruptions.ts'
import { temporaryFolder } from '../../pipeline/tiny.ts'

it('SIGTERM ends with 130 and leaves whole files, and the next run goes on', () =>
  expectInterruptions(temporaryFolder(), ['SIGTERM', 'SIGINT']))
