// Unrolled LSTM, GRU and RNN against ONNX Runtime's own operators, for every option and every form of lengths.
import { it } from '@jest/globals'
import { expectUnrolled, recurrentRows } from '../../train/recurrent-cases.ts'

it.each(recurrentRows)('unrolls $opType $title', expectUnrolled)
