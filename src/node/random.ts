/** Randomness of the operating system, for the core's `Random`. */

import { randomFillSync } from 'node:crypto';
import type { Random } from '../core/base/crypto.ts';

export const systemRandom: Random = {
  fill(target) {
    randomFillSync(target);
  },
};
