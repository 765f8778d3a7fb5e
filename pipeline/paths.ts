// Paths in recipes and options: what stands under the keys `file` and `path`.

/**
 * Copies plain data, changing what stands under the keys `file` and `path`.
 *
 * In recipes these keys, and only these, are paths.
 */
export function mapPaths<Value>(value: Value, change: (path: string) => string): Value {
  const map = (inner: unknown, key = ''): unknown => {
    if (typeof inner === 'string') return key === 'file' || key === 'path' ? change(inner) : inner
    if (Array.isArray(inner)) return inner.map((item) => map(item))
    if (inner === null || typeof inner !== 'object') return inner
    return Object.fromEntries(Object.entries(inner).map(([name, item]) => [name, map(item, name)]))
  }
  // The structure is the same; only strings were replaced by strings.
  return map(value) as Value
}
