/** What one `Tcp` may use and how it behaves: every number with its default and its unit. */

export interface TcpSettings {
  /** Receive window of a new connection, in bytes; it doubles per round trip while the reader keeps up. */
  readonly receiveWindowStart: number;
  /** Largest receive window of one connection, in bytes: twice what is in flight at 1 Gbit/s over 250 ms, since data goes on coming while a hole is filled. At most 1 GiB (RFC 7323 §2.3). */
  readonly receiveWindowMax: number;
  /** All receive windows together, in bytes; also the bound of what is held out of order. The shell makes it fit the machine. */
  readonly receiveBudget: number;
  /** Write credit of a new connection, in bytes. */
  readonly sendBufferStart: number;
  /** Largest send buffer of one connection, in bytes; it follows what is in flight. */
  readonly sendBufferMax: number;
  /** All send buffers together, in bytes; beyond it none grows. */
  readonly sendBudget: number;
  /** Ranges held out of order by one connection; what would make one more is dropped and comes again. */
  readonly outOfOrderRanges: number;
  /** Connections at once, half-open ones included. */
  readonly maxConnections: number;
  /** Half-open connections of one listener; a SYN beyond it evicts the oldest (RFC 4987 §3.3). */
  readonly synQueueLimit: number;
  /** TIME-WAIT records at once; one more evicts the oldest. */
  readonly timeWaitLimit: number;
  readonly timeWaitMs: number;
  readonly congestion: 'cubic' | 'reno';
  /** Lower bound of the retransmission timeout. RFC 6298 §2.4 says 1 s; Linux and RACK-TLP live well with 200 ms. */
  readonly minRtoMs: number;
  readonly maxRtoMs: number;
  /** Retransmissions of a SYN before ETIMEDOUT; 6 are 123 s. */
  readonly synRetries: number;
  /** Retransmissions of a SYN-ACK; 5 are 63 s. */
  readonly synAckRetries: number;
  /** Unanswered for so long, in retransmission timeouts waited: ETIMEDOUT (RFC 9293 §3.8.3 R2: at least 100 s). */
  readonly userTimeoutMs: number;
  /** Between keepalive probes once the first went unanswered. */
  readonly keepAliveIntervalMs: number;
  readonly keepAliveProbes: number;
  /**
   * One acknowledgement for all segments of a burst, or for up to sixteen, unless the sender seems to be in slow start. False: always one
   * for every second segment (RFC 5681 §4.2).
   */
  readonly stretchAcks: boolean;
  /** Upper bound of the delayed acknowledgement, in milliseconds (RFC 9293 §3.8.6.3: less than 500). */
  readonly delayedAckMs: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_TCP_SETTINGS: TcpSettings = {
  receiveWindowStart: 64 * KIB,
  receiveWindowMax: 64 * MIB,
  receiveBudget: 256 * MIB,
  sendBufferStart: 256 * KIB,
  sendBufferMax: 64 * MIB,
  sendBudget: 256 * MIB,
  outOfOrderRanges: 1024,
  maxConnections: 10_000,
  synQueueLimit: 256,
  timeWaitLimit: 8192,
  timeWaitMs: 30_000,
  congestion: 'cubic',
  minRtoMs: 200,
  maxRtoMs: 60_000,
  synRetries: 6,
  synAckRetries: 5,
  userTimeoutMs: 300_000,
  keepAliveIntervalMs: 75_000,
  keepAliveProbes: 9,
  stretchAcks: true,
  delayedAckMs: 25,
};

/** The defaults with what `overrides` names. Throws RangeError for a size no connection could live with. */
export function tcpSettings(overrides: Partial<TcpSettings> = {}): TcpSettings {
  const settings = { ...DEFAULT_TCP_SETTINGS, ...overrides };
  within('receiveWindowStart', settings.receiveWindowStart, 4 * KIB, settings.receiveWindowMax);
  within('receiveWindowMax', settings.receiveWindowMax, 4 * KIB, 1 << 30);
  within('sendBufferStart', settings.sendBufferStart, 4 * KIB, settings.sendBufferMax);
  within('sendBufferMax', settings.sendBufferMax, 4 * KIB, 1 << 30);
  within('outOfOrderRanges', settings.outOfOrderRanges, 1, 65_536);
  return settings;
}

function within(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high)) throw new RangeError(`"${name}" expected ${low} to ${high}, got ${value}`);
}
