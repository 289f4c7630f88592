/** `sluice sandbox`: the built-in provider alone, until Ctrl-C. */

import { parseIp } from '../../core/base/address.ts';
import { type Command, UsageError } from '../command.ts';
import { EXIT } from '../exit-code.ts';

export const sandbox: Command = {
  name: 'sandbox',
  summary: 'Run a WireGuard provider of your own on this host, for tests.',
  operands: [],
  options: {
    listen: {
      short: 'l',
      value: 'ADDRESS:PORT',
      help: 'Where the server listens; 127.0.0.1 and any free port by default.',
    },
    json: { help: 'Print one JSON object: endpoint, conf, addresses, publicKey.' },
  },
  details: [
    'Prints the .conf of a client on standard output and runs until Ctrl-C. The keys are new at every start.',
    'Behind the server is a small internet of its own, of which nothing reaches the real one: DNS and a port-forwarding gateway (NAT-PMP) at 10.2.0.1, and http://ip.sluice.test/, which tells a caller the address it is seen from.',
  ],
  examples: [
    { command: 'sluice sandbox > client.conf', what: 'Keep the client’s file; the server runs until Ctrl-C' },
    { command: 'sluice sandbox --listen 127.0.0.1:51820', what: 'On a port of your choice' },
  ],
  exitCodes: [EXIT.failed, EXIT.tunnelDown],
  async run({ values, switches }, io) {
    const listen = listenOf(values['listen']);
    const { Sandbox } = await import('../../sandbox/index.ts');
    const provider = await Sandbox.start(listen === undefined ? {} : { listen });
    try {
      const { conf, addresses, publicKey } = provider.addClient();
      const { endpoint } = provider;
      if (switches.has('json')) io.out.write(`${JSON.stringify({ endpoint, conf, addresses, publicKey })}\n`);
      else io.out.write(conf.endsWith('\n') ? conf : `${conf}\n`);
      io.err.write(`The provider is at ${endpoint} and takes this one client. Ctrl-C ends it.\n`);
      await new Promise<void>((resolve) => {
        io.stop.addEventListener('abort', () => resolve());
        if (io.stop.aborted) resolve();
      });
    } finally {
      await provider.close();
    }
    return EXIT.done;
  },
};

function listenOf(text: string | undefined): { address: string; port: number } | undefined {
  if (text === undefined) return undefined;
  const match = /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (!match || !parseIp(address) || port > 65535)
    throw new UsageError(`“${text}” is not an address with a port.`, 'For example: --listen 127.0.0.1:51820');
  return { address, port };
}
