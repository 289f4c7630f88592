/**
 * As in node:dgram, using a closed UDP socket throws. The DHT does so from timers, where nobody catches it, when the tunnel was
 * closed before the client; so here a closed socket loses what it is given, as a network would.
 */

import type { HostDatagramSocket } from './host.ts';

type Done = (error: Error | null) => void;

/** Changes `send` and `close` of this one socket. */
export function quietWhenClosed(socket: HostDatagramSocket): HostDatagramSocket {
  const { send, close } = socket;
  return Object.assign(socket, {
    send(...args: Parameters<typeof send>) {
      const error = thrownIfClosed(() => send.apply(socket, args));
      const done = args.at(-1) as Done | unknown;
      if (error && typeof done === 'function') process.nextTick(done as Done, error);
    },
    close(onClosed?: () => void) {
      const error = thrownIfClosed(() => close.call(socket, onClosed));
      if (!error) return;
      if (onClosed) socket.once('close', onClosed);
      process.nextTick(() => socket.emit('close'));
    },
  });
}

function thrownIfClosed(use: () => unknown): Error | undefined {
  try {
    use();
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SOCKET_DGRAM_NOT_RUNNING') throw error;
    return error as Error;
  }
}
