// Quantization: fewer bits a number, and a check that the result still does what its input did.
import { throwIfAborted, UserError } from '../../base/errors.ts'
