/** `sluice up`: the daemon, in the foreground. */

import type { WireGuardConfig } from '../../core/tunnel/wireguard-config.ts';
import { readSettings, type Settings } from '../../daemon/settings.ts';
import type { Arguments, Command } from '../command.ts';
import { CONF_VARIABLE, readConfFile } from '../conf-file.ts';
import { EXIT } from '../exit-code.ts';
import type { Io } from '../io.ts';

export const up: Command = {
  name: 'up',
  summary: 'Run the tunnel as a daemon, in the foreground.',
  operands: [{ name: 'FILE.conf', optional: true }],
  options: {
    listen: {
      short: 'l',
      value: 'ADDRESS',
      help: 'Where the API listens: ADDRESS:PORT, or the path of a unix socket; 127.0.0.1:8787 by default.',
    },
    'port-forward': { value: 'PROVIDER', help: 'natpmp, protonvpn, static:PORT or none, which is the default.' },
    'state-dir': { value: 'DIR', help: 'Where to keep what must survive a restart.' },
  },
  details: [
    `Runs until Ctrl-C or SIGTERM, and then gives the forwarded port back. Without a file, and without ${CONF_VARIABLE}, it comes up blocked and says so: nothing is ever sent past the tunnel.`,
    'The log goes to standard output: lines for people on a terminal, JSON elsewhere. “sluice status”, “probe” and “port” talk to the daemon with the key in its state folder.',
    'Settings can be given as environment variables too, such as SLUICE_PORT_FORWARD_PROVIDER; docs/reference/settings.md lists them.',
  ],
  examples: [
    { command: 'sluice up proton.conf --port-forward protonvpn', what: 'With a forwarded port' },
    { command: 'sluice up proton.conf --listen /run/user/1000/sluice.sock', what: 'The API on a unix socket' },
    { command: 'SLUICE_LOG_LEVEL=debug sluice up proton.conf', what: 'With every handshake in the log' },
  ],
  exitCodes: [EXIT.failed, EXIT.badConfiguration],
  async run(given, io) {
    const settings = settingsOf(given, io);
    const [{ createLog }, { Redactor }] = await Promise.all([
      import('../../daemon/log.ts'),
      import('../../daemon/redaction.ts'),
    ]);
    const redactor = new Redactor();
    const log = createLog((line) => io.out.write(line), {
      level: settings.log.level,
      format: settings.log.format ?? (io.out.isTTY ? 'pretty' : 'json'),
      colour: io.out.isTTY && !io.env['NO_COLOR'],
      redactor,
    });
    const configurations = await readConfigurations(settings, io, (text) => log.warn(text));
    for (const secret of configurations.flatMap(secretsOf)) redactor.add(secret);
    const [{ Daemon }, { endOnCrash }] = await Promise.all([
      import('../../daemon/daemon.ts'),
      import('../../daemon/crash.ts'),
    ]);
    endOnCrash(process, log);
    const daemon = await Daemon.start({ settings, configurations, log, redactor });
    await aborted(io.stop);
    await daemon.close();
    return EXIT.done;
  },
};

function settingsOf({ operands, values }: Arguments, io: Io): Settings {
  return readSettings(io.env, {
    config: operands[0],
    listen: values['listen'],
    stateDir: values['state-dir'],
    portForward: values['port-forward'],
  });
}

async function readConfigurations(
  { wireguard: { config, fallback } }: Settings,
  io: Io,
  warn: (text: string) => void,
): Promise<WireGuardConfig[]> {
  const files = config === undefined ? [] : [config, ...fallback];
  return await Promise.all(files.map((file) => readConfFile(file, io.env, warn)));
}

function secretsOf({ privateKey, peers }: WireGuardConfig): Uint8Array[] {
  return [privateKey, ...peers.flatMap(({ presharedKey }) => (presharedKey ? [presharedKey] : []))];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve());
    if (signal.aborted) resolve();
  });
}
