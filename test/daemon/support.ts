/** A daemon in this process, on loopback. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseWireGuardConfig } from '../../src/core/tunnel/wireguard-config.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import { createLog } from '../../src/daemon/log.ts';
import { Redactor } from '../../src/daemon/redaction.ts';
import { readSettings } from '../../src/daemon/settings.ts';
import { type Answered, type Asked, ask } from '../api/support.ts';

export interface Running {
  readonly daemon: Daemon;
  /** Every line of the log, at level debug. */
  readonly lines: readonly Record<string, unknown>[];
  /** With the key of the state folder. */
  ask(asked?: Asked): Promise<Answered>;
}

export interface Start {
  readonly stateDir: string;
  readonly conf?: string;
  readonly env?: Record<string, string>;
}

export async function startDaemon({ stateDir, conf, env = {} }: Start): Promise<Running> {
  const lines: Record<string, unknown>[] = [];
  const redactor = new Redactor();
  const settings = readSettings({ SLUICE_TUNNEL_STATE_DIR: stateDir, SLUICE_API_LISTEN: '127.0.0.1:0', ...env });
  const daemon = await Daemon.start({
    settings,
    configurations: conf === undefined ? [] : [parseWireGuardConfig(conf)],
    log: createLog((line) => lines.push(JSON.parse(line)), { level: 'debug', format: 'json', colour: false, redactor }),
    redactor,
  });
  const apiKey = (await readFile(join(stateDir, 'api-key'), 'utf8')).trim();
  const port = Number(/:(\d+)$/.exec(daemon.address)?.[1]);
  return {
    daemon,
    lines,
    ask: (asked = {}) => ask(port, { key: false, ...asked, headers: { 'X-Api-Key': apiKey, ...asked.headers } }),
  };
}
