/** A reproducible byte stream: a seeded block of odd length, repeated. Any loss, repetition or shift shows. */
const LENGTH = (1 << 20) + 7;
const blocks = new Map();

function block(seed) {
  let bytes = blocks.get(seed);
  if (!bytes) {
    bytes = Buffer.allocUnsafe(LENGTH);
    let state = (seed * 2654435761) | 1;
    for (let i = 0; i < LENGTH; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      bytes[i] = state;
    }
    blocks.set(seed, bytes);
  }
  return bytes;
}

/** At most `length` bytes of the stream from `offset`, as a view. */
export function slice(seed, offset, length) {
  const start = offset % LENGTH;
  return block(seed).subarray(start, Math.min(LENGTH, start + length));
}

/** True if `chunk` is what the stream has at `offset`. */
export function matches(seed, offset, chunk) {
  for (let done = 0; done < chunk.length; ) {
    const expected = slice(seed, offset + done, chunk.length - done);
    if (expected.compare(chunk, done, done + expected.length) !== 0) return false;
    done += expected.length;
  }
  return true;
}
