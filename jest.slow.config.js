import quick from './jest.config.js'

/** The long tests: `npm run test:slow`. @type {import('jest').Config} */
export default {
  ...quick,
  // They measure memory.
  maxWorkers: 1,
  testMatch: ['<rootDir>/test/slow/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  testTimeout: 20 * 60_000,
}
