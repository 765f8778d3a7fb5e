// Folders of WAV files, labelled by folders of classes or by their names.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { openClassFolders } from './class-folders.ts'
import { fileNameFields, openNamedFiles } from './file-names.ts'
import type { FileKind } from './folder-files.ts'
import { defineReader } from './reader.ts'

const recordings: FileKind = { noun: 'recordings', endings: new Set(['.wav', '.wave']) }

const options = z.strictObject({
  labels: z
    .enum(['folders', 'none'])
    .optional()
    .describe(
      'folders: each folder is a class; none: recordings alone. Folders unless there is a pattern.',
    ),
  ...fileNameFields,
  pattern: fileNameFields.pattern.optional(),
})

/**
 * Columns `audio` (files) and `label`, which is the name of the class's folder or a part of the file's name, and a
 * column for each other named group of the pattern.
 */
export const wavFolder = defineReader({
  summary: 'A folder of WAV files, in a folder a class or with labels in their names',
  options,
  async open(place, { labels, pattern, unmatched, testWhen }, context) {
    if (pattern === undefined) {
      if (unmatched !== undefined || testWhen !== undefined)
        throw new UserError(
          `data.wav.${testWhen ? 'testWhen' : 'unmatched'}: names of files tell nothing without a pattern — give data.wav.pattern`,
        )
      return await openClassFolders(place, recordings, 'audio', labels !== 'none', context)
    }
    if (labels !== undefined)
      throw new UserError(
        `data.wav.labels: the names of the files give the labels: '${labels}' — remove labels or pattern`,
      )
    const names = { pattern, unmatched, testWhen }
    return await openNamedFiles(place, recordings, 'audio', names, 'data.wav', context)
  },
})
