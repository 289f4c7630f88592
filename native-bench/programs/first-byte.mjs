/**
 * Says "byte" when the first byte of a server has come: through a tunnel of ours if there is a `conf`, else by the kernel's sockets
 * after a line on standard input, tried until it works. Argument: {"dist", "conf", "host", "port"}.
 */
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromDist } from '../dist.mjs';

const { dist, conf, host, port } = JSON.parse(process.argv[2]);
if (conf) {
  const { Tunnel, parseWireGuardConfig } = await fromDist(dist, 'index.js');
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf) });
  await once(tunnel.net.connect({ host, port }), 'data');
} else {
  console.log('ready');
  await once(process.stdin, 'data');
  while (!(await read())) await sleep(1);
}
process.stdout.write('byte\n', () => process.exit(0));

/** True if a byte came. */
async function read() {
  const socket = net.connect({ host, port });
  try {
    await Promise.race([once(socket, 'data'), once(socket, 'end').then(() => Promise.reject(new Error('ended')))]);
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
