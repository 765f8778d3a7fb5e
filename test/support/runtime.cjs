const { AsyncLocalStorage } = require('node:async_hooks')
const { register } = require('node:module')
const { pathToFileURL } = require('node:url')
const { default: Runtime } = require('jest-runtime')

register('./typescript.js', pathToFileURL(__filename))
process.setSourceMapsEnabled(true)

// Jest opens one for every test file and closes none, and each costs time at every promise of all later files.
const opened = new Set()
const { run } = AsyncLocalStorage.prototype
AsyncLocalStorage.prototype.run = function (...args) {
  opened.add(this)
  return run.apply(this, args)
}

const environment = { ...process.env }
let files = 0

/**
 * Lets Node load test files and what they import. Jest would load all modules for every file again, which takes longer
 * than most tests; here those of Condense and of packages are loaded once a worker, and keep their state from file to
 * file. The environment is put back.
 */
module.exports = class extends Runtime {
  async unstable_importModule(path) {
    for (const name of Object.keys(process.env))
      if (!Object.hasOwn(environment, name)) delete process.env[name]
    Object.assign(process.env, environment)
    // Node's own way of following source maps, which jest's would hide.
    Error.prepareStackTrace = undefined
    globalThis.jestGlobals = this.jestGlobals.cjsGlobals(path)
    await import(`${pathToFileURL(path)}?${files++}`)
  }

  teardown() {
    super.teardown()
    for (const storage of opened) storage.disable()
    opened.clear()
  }
}
