// The digests of the downloads are those of the real data.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { type DownloadName, downloads, ensureDownloaded } from '../../data/downloads.ts'
import { temporaryFolder } from '../support/folder.ts'
import { sendFile, startServer } from '../support/server.ts'
import { sharedData } from '../support/shared.ts'

/** A server with these files; what is not there is a 404. */
export const serve = (files: ReadonlyMap<string, Uint8Array>) =>
  startServer((request, response) => {
    const content = files.get(decodeURIComponent(request.url ?? ''))
    if (content) sendFile(request, response, content)
    else response.writeHead(404).end()
  })

/** Says nothing, and does not wait long before it tries again. */
export const silent = { log: () => undefined, pauseMs: 1 }

/** A file of the real data. */
export const shared = (...names: string[]): Buffer => readFileSync(join(sharedData, ...names))

/** Expects that a set is taken from a server with the real data, whose digests are the pinned ones. */
export async function expectPinned(name: DownloadName): Promise<void> {
  const { folder } = downloads[name]
  const files = readdirSync(join(sharedData, folder))
  const { origin } = await serve(new Map(files.map((file) => [`/${file}`, shared(folder, file)])))
  const cache = temporaryFolder()
  const downloaded = () => ensureDownloaded(name, cache, { ...silent, mirrors: [] })
  await expect(downloaded()).rejects.toThrow('could not be downloaded')
  await ensureDownloaded(name, cache, { ...silent, mirrors: [`${origin}/`] })
  const found = await downloaded()
  expect(readdirSync(found).filter((file) => !file.startsWith('.'))).toEqual(files.sort())
}
