/** The reachable state of an object graph as text, to prove that something changed nothing. Private fields (`#`) are not seen. */

/** What differs between equal states, is a backend’s own, or is counted on purpose. */
const IGNORED = new Set(['nonce', 'crypto', 'random', 'drops', 'timestamp', 'outputs', 'keyPair']);

export function snapshot(root: unknown): string {
  const seen = new Map<object, number>();
  const describe = (value: unknown): string => {
    if (typeof value === 'function') return 'function';
    if (typeof value !== 'object' || value === null) return String(value);
    const known = seen.get(value);
    if (known !== undefined) return `#${known}`;
    seen.set(value, seen.size);
    if (ArrayBuffer.isView(value))
      return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
    if (value instanceof Map) return `{${[...value].map(([key, item]) => `${String(key)}:${describe(item)}`).join()}}`;
    const fields = Object.entries(value).filter(([name]) => !IGNORED.has(name));
    return `{${fields.map(([name, item]) => `${name}:${describe(item)}`).join()}}`;
  };
  return describe(root);
}
