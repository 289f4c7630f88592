/**
 * The memory that all connections of a stack share, as counts of bytes: what was promised to peers as receive windows, what is
 * truly held out of order, and what embedders may write. A promise beyond the budget is refused, never an in-order byte.
 */

export const PAGE_SIZE: number = 16 * 1024;

/** Credit that a connection gets though the budget is spent: one without any could not live. */
export const LEAST_CREDIT: number = 16 * 1024;

/** Free send pages kept for reuse. */
const FREE_PAGES = 256;

export class MemoryBudget {
  readonly receiveLimit: number;
  readonly sendLimit: number;
  /** The most that one receive window may grow to while the budget does not do for all. */
  windowShare: number = Number.POSITIVE_INFINITY;
  /** The same for a send buffer: what it has beyond that is not granted again. */
  sendShare: number = Number.POSITIVE_INFINITY;
  /** Sum of the receive windows granted. */
  windows = 0;
  /** Bytes of pages that hold data out of order. */
  outOfOrder = 0;
  /** Sum of the send buffers granted. */
  sendBuffers = 0;
  #free: Uint8Array[] = [];

  constructor(receiveLimit: number, sendLimit: number) {
    this.receiveLimit = receiveLimit;
    this.sendLimit = sendLimit;
  }

  /** The first window of a connection: whole, since a promise costs nothing until it is used. */
  openWindow(size: number): void {
    this.windows += size;
  }

  /** The first credit of a connection: `wanted`, or less if the budget is spent. */
  openSendBuffer(wanted: number): number {
    const granted = this.growSendBuffer(Math.min(wanted, this.sendShare));
    if (granted >= LEAST_CREDIT) return granted;
    this.sendBuffers += LEAST_CREDIT - granted;
    return LEAST_CREDIT;
  }

  /** As much of `wanted` as the budget leaves for a window to grow, taken. */
  growWindow(wanted: number): number {
    const granted = Math.max(0, Math.min(wanted, this.receiveLimit - this.windows));
    this.windows += granted;
    return granted;
  }

  /** As `growWindow`, for a send buffer. */
  growSendBuffer(wanted: number): number {
    const granted = Math.max(0, Math.min(wanted, this.sendLimit - this.sendBuffers));
    this.sendBuffers += granted;
    return granted;
  }

  /** A page for data out of order, or `undefined` if the budget is spent. It goes to the reader in the end, so none comes back. */
  receivePage(): Uint8Array | undefined {
    if (this.outOfOrder + PAGE_SIZE > this.receiveLimit) return undefined;
    this.outOfOrder += PAGE_SIZE;
    return new Uint8Array(PAGE_SIZE);
  }

  dischargeReceivePage(): void {
    this.outOfOrder -= PAGE_SIZE;
  }

  sendPage(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(PAGE_SIZE);
  }

  /** Only for pages that nobody outside ever saw. */
  releaseSendPage(page: Uint8Array): void {
    if (this.#free.length < FREE_PAGES) this.#free.push(page);
  }
}
