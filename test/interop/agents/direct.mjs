/** The positive control: dials past the tunnel, as a leak would. Arguments: IPv4 and IPv6 address of a web server, a name. Prints JSON. */
import dgram from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net from 'node:net';

const [, , ipv4, ipv6, name] = process.argv;

async function tcp(host) {
  const socket = net.connect({ host, port: 80 });
  await once(socket, 'connect', { signal: AbortSignal.timeout(3_000) });
  socket.destroy();
  return true;
}

function udp(host) {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
  return new Promise((resolve, reject) => {
    socket.send('x', 6881, host, (error) => {
      socket.close();
      if (error) reject(error);
      else resolve(true);
    });
  });
}

const told = {
  tcp4: await tcp(ipv4),
  tcp6: await tcp(ipv6),
  udp4: await udp(ipv4),
  udp6: await udp(ipv6),
  lookup: (await lookup(name, { family: 4 })).address,
};
console.log(JSON.stringify(told));
