/**
 * The budget of all send buffers, shared once it is spent, as that of the windows is (window-sharing.ts). Credit that was granted stays
 * granted: what a connection has above its share is not granted again when its bytes are acknowledged, so only those that send give back.
 */

import type { Connection } from './connection.ts';
import { LEAST_CREDIT, type MemoryBudget } from './memory.ts';
import { fairShare } from './window-sharing.ts';

export function shareCredit(memory: MemoryBudget, connections: Iterable<Connection>): void {
  const demands: number[] = [];
  let left = memory.sendLimit;
  let count = 0;
  for (const { sender } of connections) {
    sender.starved = false;
    count++;
    if (sender.buffer.length > 0) demands.push(sender.demand);
    else left -= sender.creditLimit;
  }
  // Whatever idle ones hold, an equal part of the whole is nobody's to give back.
  const equal = Math.floor(memory.sendLimit / count);
  memory.sendShare = Math.max(LEAST_CREDIT, equal, fairShare(demands, left));
}
