/**
 * A NAT-PMP gateway (RFC 6886) on the kernel's own NAT: each lease is a rule of nftables in this namespace. Without an interface, it
 * answers and forwards nothing, as a router on the LAN that nobody should have asked. Commands: open, change, changePort, leases,
 * requests.
 */
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { formatIp, ip } from '../../../dist/core/base/address.js';
import { systemClock } from '../../../dist/node/clock.js';
import { systemRandom } from '../../../dist/node/random.js';
import { NatPmpGateway, NatPmpSwitches } from '../../../dist/sandbox/natpmp-gateway.js';
import { serve } from './rpc.mjs';

const PROTOCOLS = { 6: 'tcp', 17: 'udp' };
const switches = new NatPmpSwitches();
const rules = new Map();
let outside;
let gateway;
let requests = 0;

const key = ({ protocol, externalPort }) => `${protocol} ${externalPort}`;
const nat = {
  publicAddress: () => outside.address,
  isFree: (protocol, port, inside, insidePort) => {
    const rule = rules.get(`${protocol} ${port}`);
    return !rule || (formatIp(rule.inside) === formatIp(inside) && rule.insidePort === insidePort);
  },
  map(mapping) {
    rules.set(key(mapping), mapping);
    apply();
    return true;
  },
  unmap(mapping) {
    rules.delete(key(mapping));
    apply();
  },
};

function apply() {
  if (!outside.interface) return;
  const lines = [...rules.values()].map(
    ({ protocol, inside, insidePort, externalPort }) =>
      `add rule ip forwards in iifname "${outside.interface}" ${PROTOCOLS[protocol]} dport ${externalPort} dnat to ${formatIp(inside)}:${insidePort}\n`,
  );
  execFileSync('nft', ['-f', '-'], { input: `flush chain ip forwards in\n${lines.join('')}` });
}

/** A lease that nobody renews ends, here as at a provider's. */
function expire() {
  const now = systemClock.now();
  const gone = [...rules.values()].filter(({ expiresAt }) => expiresAt <= now);
  for (const mapping of gone) rules.delete(key(mapping));
  if (gone.length > 0) apply();
}

serve({
  async open({ address, publicAddress, interface: name }) {
    outside = { address: ip(publicAddress), interface: name };
    const chain = 'chain in {\n type nat hook prerouting priority dstnat;\n }';
    if (name) execFileSync('nft', ['-f', '-'], { input: `table ip forwards {\n ${chain}\n}\n` });
    gateway = new NatPmpGateway(nat, systemRandom, switches, systemClock.now());
    const socket = dgram.createSocket('udp4');
    socket.on('message', (bytes, from) => {
      requests++;
      const reply = gateway.handleRequest(bytes, ip(from.address), systemClock.now());
      if (reply) socket.send(reply, from.port, from.address, () => {});
    });
    socket.on('error', () => {});
    socket.bind(5351, address);
    await once(socket, 'listening');
    setInterval(expire, 200);
  },
  /** Sets switches of the gateway, by their names. */
  change(of) {
    Object.assign(switches, of);
  },
  changePort: () => gateway.changePort(systemClock.now()),
  leases: () => gateway.leases(systemClock.now()).map(({ protocol, externalPort }) => ({ protocol, externalPort })),
  requests: () => requests,
});
