/** A process with an idle tunnel on a worker, which it tells of and then does as its second argument says. */
import { parseWireGuardConfig, Tunnel } from '../../../dist/index.js';

const [conf, what] = process.argv.slice(2);
const tunnel = await Tunnel.open({
  wireguard: parseWireGuardConfig(conf),
  engine: 'worker',
  probe: { enabled: false },
});
await tunnel.ready();
process.send('ready', () => {
  // The channel to the parent must not be what keeps it alive.
  process.disconnect();
  if (what === 'exit') setTimeout(() => process.exit(7), 100);
  if (what === 'close') void tunnel.close();
});
