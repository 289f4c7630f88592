/** All that is asked of a `net`, for one world. */

import { describeClose } from './net-conformance-close.ts';
import { describeConnect } from './net-conformance-connect.ts';
import { describeOnRead } from './net-conformance-onread.ts';
import { describeServer } from './net-conformance-server.ts';
import { describeStream } from './net-conformance-stream.ts';
import { describeTimeout } from './net-conformance-timeout.ts';
import type { SocketWorld } from './socket-world.ts';

export function describeNet(world: () => SocketWorld): void {
  describeConnect(world);
  describeStream(world);
  describeOnRead(world);
  describeClose(world);
  describeTimeout(world);
  describeServer(world);
}
