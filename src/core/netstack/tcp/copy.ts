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

/** Views by slot, which is where most packets' payload begins at the same place and is of the same length. */
const SLOTS = 64;
const SLOT_SHIFT = 11;

interface SlotView {
  readonly from: Uint8Array;
  readonly offset: number;
  readonly view: Uint8Array;
}

const views: (SlotView | undefined)[] = new Array<SlotView | undefined>(SLOTS).fill(undefined);

/** As `copyBytes`, out of the slots of a burst: they come again and again, and so their views are kept. */
export function copyFromSlot(
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
  length: number,
): void {
  if (length <= SHORT) {
    copyBytes(from, fromOffset, to, toOffset, length);
    return;
  }
  const slot = (fromOffset >>> SLOT_SHIFT) & (SLOTS - 1);
  let entry = views[slot];
  if (entry === undefined || entry.from !== from || entry.offset !== fromOffset || entry.view.length !== length)
    entry = views[slot] = { from, offset: fromOffset, view: from.subarray(fromOffset, fromOffset + length) };
  to.set(entry.view, toOffset);
}
