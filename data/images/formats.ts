// The formats of image files: told by their endings where files are listed and by their first bytes where they are read.

/** Endings of the files that are images, in lower case. */
export const imageEndings: ReadonlySet<string> = new Set([
  ...['.jpg', '.jpeg', '.png', '.webp', '.gif', '.tif', '.tiff', '.avif'],
])

const starts: readonly (readonly [
  format: string,
  at: number,
  bytes: readonly (number | string)[],
])[] = [
  ['jpeg', 0, [0xff, 0xd8, 0xff]],
  ['png', 0, [0x89, 'PNG', 0x0d, 0x0a]],
  ['webp', 8, ['WEBP']],
  ['gif', 0, ['GIF8']],
  ['tiff', 0, ['II', 42, 0]],
  ['tiff', 0, ['MM', 0, 42]],
  ['avif', 4, ['ftypavif']],
  ['avif', 4, ['ftypavis']],
  ['avif', 4, ['ftypmif1']],
]

/**
 * The format that the first bytes of a file tell; undefined for any other.
 *
 * Nothing else is handed to the decoders: SVG and PDF, which they know too, are programs rather than pictures.
 */
export function imageFormat(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16))
  return starts.find(([, at, pattern]) => {
    const expected = Buffer.concat(
      pattern.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.of(part))),
    )
    return head.subarray(at, at + expected.length).equals(expected)
  })?.[0]
}
