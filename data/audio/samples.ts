// Stored samples as numbers: full scale is -1..1 whatever the bits.
import type { SampleEncoding } from './wav-header.ts'

type Read = (view: DataView, offset: number) => number

/** One stored sample as a number; whole numbers are divided by 2^(bits - 1). */
export const sampleReaders: Readonly<Record<SampleEncoding, Read>> = {
  u8: (view, offset) => (view.getUint8(offset) - 128) / 128,
  s16: (view, offset) => view.getInt16(offset, true) / 0x8000,
  s24: (view, offset) =>
    ((view.getInt8(offset + 2) << 16) | view.getUint16(offset, true)) / 0x80_0000,
  s32: (view, offset) => view.getInt32(offset, true) / 0x8000_0000,
  f32: (view, offset) => view.getFloat32(offset, true),
  f64: (view, offset) => view.getFloat64(offset, true),
}
