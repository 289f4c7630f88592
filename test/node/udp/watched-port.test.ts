import { describe } from 'vitest';
import { watchedPorts } from '../../../src/node/udp/watched-port.ts';
import { libc } from '../../support/fast-udp.ts';
import { describeUdpPort } from '../../support/udp-port-conformance.ts';

describe.skipIf(!libc)('UDP port watched by the event loop', () => {
  describeUdpPort((options, handlers) => watchedPorts(libc!)(options, handlers));
});
