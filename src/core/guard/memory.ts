/** What the guard must not forget when the process ends: a leak that was found. */

/** An exit address that was seen twice and belongs to no network of the VPN's. Addresses are text, as a person reads them. */
export interface LeakFinding {
  readonly family: 4 | 6;
  readonly observed: string;
  readonly expected: readonly string[];
  /** Wall clock, milliseconds since 1970; for display only. */
  readonly foundAtMs: number;
}

export interface GuardMemory {
  readonly leaks: readonly LeakFinding[];
  /** There was something to remember, and it cannot be read: taken for a leak until a probe is clean. */
  readonly unreadable: boolean;
}

const NOTHING: GuardMemory = { leaks: [], unreadable: false };
const UNREADABLE: GuardMemory = { leaks: [], unreadable: true };

/** One line of JSON for a file of the state folder. */
export function serialiseGuard(memory: GuardMemory): string {
  return JSON.stringify({ version: 1, ...memory });
}

/**
 * What `serialiseGuard` made; `undefined` if there is no such file. Anything else than our own text counts as a leak, since what cannot
 * be established must not be taken for harmless. Never throws.
 */
export function restoreGuard(text: string | undefined): GuardMemory {
  if (text === undefined) return NOTHING;
  const value = parsed(text);
  if (!isRecord(value) || value['version'] !== 1 || !Array.isArray(value['leaks'])) return UNREADABLE;
  if (typeof value['unreadable'] !== 'boolean' || !value['leaks'].every(isFinding)) return UNREADABLE;
  return { leaks: value['leaks'], unreadable: value['unreadable'] };
}

/** The value of a JSON text; `undefined` if it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a parsed value is an object with named members. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFinding(value: unknown): value is LeakFinding {
  if (!isRecord(value)) return false;
  const { family, observed, expected, foundAtMs } = value;
  if ((family !== 4 && family !== 6) || typeof observed !== 'string' || typeof foundAtMs !== 'number') return false;
  return Array.isArray(expected) && expected.every((network) => typeof network === 'string');
}
