// The Python that peers run in, and our scripts for it.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A script and what runs it. */
export interface PythonScript {
  readonly program: string
  readonly script: string
}

/** A script of this folder where Python has the module that it needs, or why it cannot be run. */
export function pythonScript(name: string, module: string): PythonScript | string {
  // From dist/ the script is in the repository's own folder.
  const script = [name, `../../../benchmarks/suite/${name}`]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path))
  if (!script) return `${name} is not here`
  const program = process.env.CONDENSE_PYTHON ?? 'python3'
  const { status } = spawnSync(program, ['-c', `import ${module}`], { stdio: 'ignore' })
  if (status !== 0)
    return `'${program}' has no ${module} — set CONDENSE_PYTHON to a Python that has it`
  return { program, script }
}
