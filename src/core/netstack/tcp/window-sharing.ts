/**
 * The budget of all receive windows, shared once it is spent: max-min fairness. Who asks for little gets it, and what the others may
 * have at most, each the same, is what uses the budget up. It is worked out again every second, so what one flow no longer needs goes
 * to the others.
 */

import type { Instant } from '../../base/instant.ts';
import type { Connection } from './connection.ts';
import type { MemoryBudget } from './memory.ts';

/** A connection whose reader took nothing for so long is idle. */
const IDLE_MS = 2000;

export function shareWindows(memory: MemoryBudget, connections: Iterable<Connection>, now: Instant): void {
  const receivers = Array.from(connections, ({ receiver }) => receiver);
  const demands = receivers.map((receiver) => receiver.demand(IDLE_MS, now));
  memory.windowShare = fairShare(demands, memory.receiveLimit);
  for (const receiver of receivers) receiver.giveBack(IDLE_MS, now);
}

/** The most that each may have so that all together have `budget`; Infinity if that is enough for everybody. */
export function fairShare(demands: readonly number[], budget: number): number {
  const sorted = Float64Array.from(demands).sort();
  let left = budget;
  for (const [index, demand] of sorted.entries()) {
    const share = left / (sorted.length - index);
    if (demand > share) return Math.floor(share);
    left -= demand;
  }
  return Number.POSITIVE_INFINITY;
}
