// Folders of images in a folder a class, as torchvision's ImageFolder has them.
import { z } from 'zod'
import { imageEndings } from '../images/formats.ts'
import { openClassFolders } from './class-folders.ts'
import { defineReader } from './reader.ts'

/** Columns `image` (files) and `label` (the name of the class's folder); see {@link openClassFolders}. */
export const imageFolder = defineReader({
  summary: 'A folder of images in a folder a class, as torchvision has them',
  options: z.strictObject({
    labels: z
      .enum(['folders', 'none'])
      .default('folders')
      .describe('folders: each folder is a class; none: images alone, however deep they lie.'),
  }),
  open: (place, { labels }, context) =>
    openClassFolders(
      place,
      { noun: 'images', endings: imageEndings },
      'image',
      labels === 'folders',
      context,
    ),
})
