/** The constants of whitepaper §6, under their names there, and the bounds that are this implementation's own. Times are in milliseconds. */

/** §6.2: the initiator of a session starts a new handshake when it sends on a key this old. */
export const REKEY_AFTER_TIME = 120_000;
/** §6.2: a key this old neither sends nor receives. */
export const REJECT_AFTER_TIME = 180_000;
/** §6.4: an initiation without answer is retried after this, plus jitter; no two initiations to one peer are closer than this. */
export const REKEY_TIMEOUT = 5_000;
/** §6.4: how long initiations are retried. */
export const REKEY_ATTEMPT_TIME = 90_000;
/** §6.5: a peer that received data and has had nothing to send for so long sends an empty packet. */
export const KEEPALIVE_TIMEOUT = 10_000;
/** §5.4.7, §6.6: lifetime of the secret behind cookies, and of a cookie at the one who received it. */
export const COOKIE_REFRESH_TIME = 120_000;

/** §6.2: a key that sent 2^60 messages asks for a new handshake: the high half of that counter. */
export const REKEY_AFTER_MESSAGES_HIGH = 0x1000_0000;
/** §6.2: counters from 2^64 − 2^13 − 1 on are neither sent nor received: both halves. */
export const REJECT_AFTER_MESSAGES_HIGH = 0xffff_ffff;
export const REJECT_AFTER_MESSAGES_LOW = 0xffff_dfff;

/** §6.4: retries are spread by up to this much, so that two peers that started together do not stay in step. */
export const REKEY_TIMEOUT_JITTER: number = 1_000 / 3;
/** Initiations in one series: the first, and one for each further REKEY_TIMEOUT in REKEY_ATTEMPT_TIME and a little more. */
export const MAX_INITIATIONS = 20;
/** A second initiation of one peer within this time is dropped. */
export const MIN_INITIATION_INTERVAL = 20;
/** Keys that no handshake has renewed for so long are wiped. */
export const ZERO_KEYS_AFTER_TIME: number = 3 * REJECT_AFTER_TIME;
/** The initiator that *receives* on a key this old starts one handshake: the last moment at which it can still end in time. */
export const REKEY_ON_RECEIVE_AFTER_TIME: number = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;

/** Packets that wait for a session, for each peer. The oldest gives way. */
export const MAX_STAGED_PACKETS = 128;
/** Datagrams and events that wait for `nextOutput`. */
export const MAX_QUEUED_OUTPUTS = 8_192;
/** Transport messages are padded to a multiple of this, a power of two (§5.4.6). */
export const PADDING_MULTIPLE = 16;
/** Inner packets up to this size fit an Ethernet path over IPv4 and IPv6. */
export const DEFAULT_MTU = 1_420;

/** Handshake messages per second of one source from which on that source must prove its address. */
export const LOAD_MESSAGES_PER_SOURCE = 40;
/** Handshake messages per second of all sources that stay below the limit above, from which on everyone must. */
export const LOAD_MESSAGES_TOTAL = 200;
/** Load lasts at least this long. */
export const LOAD_STICKY_TIME = 1_000;
/** Cookie replies per second to one source, and to all together. */
export const COOKIE_REPLIES_PER_SOURCE = 20;
export const COOKIE_REPLIES_TOTAL = 2_000;

/** §5.3 under load: handshake messages per second of one proven address, and how many it may send at once. */
export const RATE_LIMIT_PER_SECOND = 20;
export const RATE_LIMIT_BURST = 5;
/** Addresses that the rate limiter remembers; further ones are refused until an entry is idle for a second. */
export const RATE_LIMIT_ENTRIES = 8_192;

export const PROLOGUE = 'WireGuard v1 zx2c4 Jason@zx2c4.com';
export const LABEL_MAC1 = 'mac1----';
export const LABEL_COOKIE = 'cookie--';

/** Signed, which V8 keeps as a small integer: it is compared with for every packet. */
const LIMIT_HIGH = REJECT_AFTER_MESSAGES_HIGH | 0;

/** Whether a counter may neither be sent nor received: REJECT_AFTER_MESSAGES and beyond. */
export function atMessageLimit(low: number, high: number): boolean {
  return (high | 0) === LIMIT_HIGH && low >= REJECT_AFTER_MESSAGES_LOW;
}
