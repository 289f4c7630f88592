/** What the UDP ports have in common. */

const SLOT_BYTES = 2048;
/** Transport header, padding and tag around an inner packet. */
const OVERHEAD_BYTES = 16 + 15 + 16;

/** The size of a slot for any datagram of a tunnel with this MTU. */
export function slotBytesFor(mtu: number = 0): number {
  return Math.max(SLOT_BYTES, Math.ceil((mtu + OVERHEAD_BYTES) / 4) * 4);
}

/** Failures that tell something of the path or the peer and pass by themselves. */
export const SOFT_ERRORS: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'EMSGSIZE',
  'EPERM',
  'EACCES',
  'ENOBUFS',
  'EAGAIN',
]);
