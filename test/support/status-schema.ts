/** The status snapshot of CONTRACT.md as a schema of its own, so that a field that goes missing or changes its type is seen. */

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === 'string' && value !== '';
const flag: Check = (value) => typeof value === 'boolean';
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const seconds: Check = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const time: Check = (value) => typeof value === 'string' && new Date(value).toISOString() === value;
const word =
  (...words: string[]): Check =>
  (value) =>
    words.includes(value as string);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const counters: Check = (value) =>
  typeof value === 'object' && value !== null && Object.values(value).every((entry) => count(entry));

interface Shape {
  readonly [field: string]: Check | Shape;
}

const REASON: Shape = { code: text, message: text, hint: text };
const FAMILY: Shape = { observed: orNull(text), expected: listOf(text) };
const CLIENT: Shape = { name: text, state: text, pausedByKillswitch: count, portApplied: flag };

const SNAPSHOT: Shape = {
  version: text,
  enabled: flag,
  state: word('disabled', 'connecting', 'connected', 'degraded', 'reconnecting', 'blocked', 'error'),
  since: time,
  reason: orNull(fits(REASON)),
  tunnel: {
    endpoint: orNull(text),
    addresses: listOf(text),
    dns: listOf(text),
    mtu: count,
    handshakes: count,
    handshakeAgeSeconds: orNull(seconds),
    rxBytes: count,
    txBytes: count,
    drops: counters,
    crypto: text,
  },
  killswitch: { enabled: flag, engaged: flag, reasons: listOf(word('starting', 'stale', 'leak', 'user')) },
  probe: {
    verdict: word('ok', 'leak', 'unknown', 'pending', 'off'),
    ipv4: orNull(fits(FAMILY)),
    ipv6: orNull(fits(FAMILY)),
    checkedAt: orNull(time),
    nextInSeconds: orNull(seconds),
  },
  portForward: {
    provider: word('none', 'natpmp', 'protonvpn', 'static'),
    state: word('off', 'acquiring', 'mapped', 'failed'),
    port: orNull(count),
    protocols: listOf(word('tcp', 'udp')),
    leaseSeconds: orNull(seconds),
    renewInSeconds: orNull(seconds),
    reachable: word('open', 'closed', 'unknown'),
  },
  clients: listOf(fits(CLIENT)),
  sockets: { tcp: count, udp: count, listening: count },
};

/** What does not fit, as paths; fields that the type does not have count too. */
export function misfits(value: unknown, shape: Shape = SNAPSHOT, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  const given = value as Record<string, unknown>;
  const surplus = Object.keys(given).filter((field) => !(field in shape));
  const wrong = Object.entries(shape).flatMap(([field, check]) => {
    const where = `${path}.${field}`;
    if (typeof check === 'object') return misfits(given[field], check, where);
    return check(given[field]) ? [] : [`${where} = ${JSON.stringify(given[field])}`];
  });
  return [...surplus.map((field) => `${path}.${field} is not in the type`), ...wrong];
}

function fits(shape: Shape): Check {
  return (value) => misfits(value, shape).length === 0;
}
