/**
 * Growth in slow start: by what was delivered (RFC 5681 §3.1, RFC 3465), the same for every controller. There is no limit per
 * acknowledgement, as in Linux: receivers like ours acknowledge a whole burst at once, and the window still no more than doubles.
 */

import type { AckSample, CongestionController } from './controller.ts';
import type { HyStart } from './hystart.ts';

/** Grows the window by what `sample` delivered, up to the threshold. Returns what is left over for congestion avoidance. */
export function slowStart(controller: CongestionController, hystart: HyStart, sample: AckSample): number {
  const initial = controller.threshold === Number.POSITIVE_INFINITY;
  const divisor = initial ? hystart.onAck(sample.rttMs, sample.acknowledged, sample.next) : 1;
  if (divisor === 0) {
    controller.threshold = controller.window;
    return sample.delivered;
  }
  const grown = controller.window + sample.delivered / divisor;
  if (grown <= controller.threshold) {
    controller.window = grown;
    return 0;
  }
  controller.window = controller.threshold;
  return grown - controller.threshold;
}
