// The machine that measured, so that nobody takes its numbers for those of another.
import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { runtimeVersion } from '../runtime/engine.ts'
import type { Report } from './report/report.ts'

/** Instruction sets that change the speed of ONNX Runtime's kernels, as Linux spells them for x86 and ARM. */
// biome-ignore format: a list
const relevantFlags: ReadonlySet<string> = new Set([
  'avx', 'avx2', 'fma', 'f16c', 'avx512f', 'avx512bw', 'avx512_vnni', 'avx512_bf16', 'avx512_fp16', 'avx_vnni',
  'amx_tile', 'amx_int8', 'amx_bf16', 'asimd', 'asimddp', 'asimdhp', 'i8mm', 'bf16', 'sve', 'sve2',
])

/** Describes this machine as report.json wants it; `flags` is empty where the system does not tell them. */
export async function describeHost(): Promise<Report['host']> {
  return {
    cpu: cpus()[0]?.model.trim() || process.arch,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.versions.node,
    onnxruntime: await runtimeVersion(),
    system: `${type()} ${release()}, ${arch()}`,
    flags: instructionSets(),
  }
}

function instructionSets(): string[] {
  try {
    const line = readFileSync('/proc/cpuinfo', 'utf8').match(/^(?:flags|Features)\s*:(.*)$/m)
    return (line?.[1] ?? '').split(' ').filter((flag) => relevantFlags.has(flag))
  } catch {
    return [] // only Linux has this file
  }
}
