// What is wrong with one sample, and not with the recipe or the data set as a whole.
import { UserError } from '../base/errors.ts'

/** A sample that cannot be used; `damaged: skip` leaves it out with a count, everything else ends the run. */
export class DamagedError extends UserError {}
