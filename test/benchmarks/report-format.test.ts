import { expect, it } from '@jest/globals'
import * as format from '../../benchmarks/report/format.ts'

const plain = (text: string) => text.replace(/\u202f/g, ' ')

it.each([
  [format.formatPercent(0.98104), '98.10 %'],
  [format.formatPercent(-0.001, 1), '−0.1 %'],
  [format.formatInterval([0.974, 0.9861]), '97.4–98.6 %'],
  [format.formatPoints(0.012), '1.20 points'],
  [format.formatBytes(0), '0 B'],
  [format.formatBytes(999), '999 B'],
  [format.formatBytes(334_912), '334.9 kB'],
  [format.formatBytes(1_243_872), '1.24 MB'],
  [format.formatBytes(3e15), '3000 TB'],
  [format.formatCount(0), '0'],
  [format.formatCount(307_946), '307.9 k'],
  [format.formatRate(9.158), '9.16'],
  [format.formatRate(35_420.7), '35.4 k'],
  [format.formatRate(1.53e6), '1.53 M'],
  [format.formatMs(0.0123), '0.0123 ms'],
  [format.formatMs(12.34), '12.3 ms'],
  [format.formatMs(1250), '1.25 s'],
  [format.formatRatio(0), '0 %'],
  [format.formatRatio(1 / 36.04), '1/36'],
  [format.formatRatio(1 / 6.29), '1/6.3'],
  [format.formatRatio(0.83), '83 %'],
  [format.formatRatio(1.0001), '1×'],
  [format.formatRatio(1.34), '1.3×'],
  [format.formatRatio(Number.POSITIVE_INFINITY), '–'],
  [format.formatProbability(0), '< 0.0001'],
  [format.formatProbability(0.0031), '0.0031'],
  [format.formatProbability(0.2153), '0.22'],
  [format.formatNumber(0), '0'],
  [format.formatNumber(0.01234), '0.0123'],
  [format.formatNumber(-2.5), '−2.50'],
  [format.formatNumber(1e-9), '1.0e-9'],
  [format.formatNumber(8062.4), '8062'],
  [format.printable('a\u202eb\u0000c\td'), 'a\ufffdb\ufffdc\td'],
])('writes %s', (written, expected) => {
  expect(plain(written)).toBe(expected)
})
