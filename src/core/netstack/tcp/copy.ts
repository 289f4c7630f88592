/** Copying between typed arrays. A view costs about as much as moving a hundred bytes one by one, so short runs go without. */

const SHORT = 64;

export function copyBytes(
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
  length: number,
): void {
  if (length > SHORT) {
    to.set(from.subarray(fromOffset, fromOffset + length), toOffset);
    return;
  }
  for (let i = 0; i < length; i++) to[toOffset + i] = from[fromOffset + i]!;
}
