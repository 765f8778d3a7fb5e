// What bringing a model to this machine needs besides its address.
import type { DownloadProgress } from '../base/download.ts'

/** What fetching needs. */
export interface FetchContext {
  /** Condense's cache folder. */
  readonly cacheFolder: string
  /** Told, in one line each, what is downloaded or taken from the cache. */
  readonly log?: ((line: string) => void) | undefined
  readonly progress?: ((progress: DownloadProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** Where HF_TOKEN and its like are read; the process's own unless told. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
  /** How long to wait before a second try, in milliseconds. */
  readonly pauseMs?: number | undefined
}
