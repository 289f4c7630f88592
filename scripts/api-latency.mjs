/**
 * How long GET /api/v1/status takes while the tunnel connects, is saturated, and is down. Three processes: this one asks, one is the
 * daemon, one the provider. Needs a build. Prints milliseconds: median, 99th percentile, worst.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, env, execPath } from 'node:process';
import { createInterface } from 'node:readline';

const REQUESTS = 1_000;
const DIST = '../dist';

const roles = { provider, daemon };
await (roles[argv[2]] ?? measure)();

async function measure() {
  const stateDir = await mkdtemp(join(tmpdir(), 'sluice-latency-'));
  const provider = await start('provider');
  const daemon = await start('daemon', { LATENCY_STATE_DIR: stateDir, LATENCY_CONF: provider.facts.conf });
  const apiKey = (await readFile(join(stateDir, 'api-key'), 'utf8')).trim();
  const ask = () => timed(daemon.facts.port, apiKey);
  try {
    await report('connecting', ask);
    await provider.say('answer');
    while ((await ask()).state !== 'connected');
    await report('connected', ask);
    await daemon.say('load');
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const before = await ask();
    await report('saturated', ask);
    const after = await ask();
    const mbit = ((after.rxBytes - before.rxBytes) * 8) / 1e6 / ((after.at - before.at) / 1e3);
    console.log(`            (${mbit.toFixed(0)} Mbit/s through the tunnel meanwhile)`);
    provider.child.kill('SIGKILL');
    await report('down', ask);
  } finally {
    provider.child.kill('SIGKILL');
    daemon.child.kill('SIGKILL');
    await rm(stateDir, { recursive: true });
  }
}

async function report(name, ask) {
  const times = [];
  let state;
  for (let i = 0; i < REQUESTS; i++) {
    const answer = await ask();
    times.push(answer.ms);
    state = answer.state;
  }
  times.sort((a, b) => a - b);
  const at = (ratio) => times[Math.min(times.length - 1, Math.floor(times.length * ratio))].toFixed(1).padStart(6);
  console.log(`${name.padEnd(10)}  ${at(0.5)} ${at(0.99)} ${at(1)}   state ${state}, ${REQUESTS} requests`);
}

/** One request on a connection of its own. */
async function timed(port, apiKey) {
  const startedAt = performance.now();
  const call = request({
    port,
    host: '127.0.0.1',
    path: '/api/v1/status',
    agent: false,
    headers: { 'X-Api-Key': apiKey },
  });
  call.end();
  const [response] = await once(call, 'response');
  const chunks = await response.toArray();
  const at = performance.now();
  const { state, tunnel } = JSON.parse(Buffer.concat(chunks).toString());
  return { ms: at - startedAt, at, state, rxBytes: tunnel.rxBytes };
}

async function start(role, variables = {}) {
  const child = spawn(execPath, [import.meta.filename, role], {
    env: { ...env, ...variables },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  const facts = await next();
  return {
    child,
    facts,
    async say(word) {
      child.stdin.write(`${word}\n`);
      await next();
    },
  };
}

/** A VPN server that is silent at first, and behind it a host that sends without an end. */
async function provider() {
  const { Sandbox } = await import(`${DIST}/sandbox/index.js`);
  const sandbox = await Sandbox.start();
  sandbox.faults.silent = true;
  const host = sandbox.addHost({ name: 'source.test' });
  const chunk = Buffer.alloc(64 * 1024);
  host.net
    .createServer((socket) => {
      const pump = () => {
        while (socket.write(chunk));
      };
      socket.on('drain', pump).on('error', () => {});
      pump();
    })
    .listen(80);
  console.log(JSON.stringify({ conf: sandbox.addClient().conf }));
  for await (const _ of createInterface({ input: process.stdin })) {
    sandbox.faults.silent = false;
    console.log('{}');
  }
}

/** The daemon itself, which at a word reads from that host over four connections. */
async function daemon() {
  const load = (path) => import(`${DIST}/${path}.js`);
  const [{ Daemon }, { createLog }, { Redactor }, { readSettings }, { parseWireGuardConfig }] = await Promise.all(
    ['daemon/daemon', 'daemon/log', 'daemon/redaction', 'daemon/settings', 'index'].map(load),
  );
  const redactor = new Redactor();
  const running = await Daemon.start({
    settings: readSettings(
      { SLUICE_PROBE_ENABLED: 'false' },
      { listen: '127.0.0.1:0', stateDir: env.LATENCY_STATE_DIR },
    ),
    configurations: [parseWireGuardConfig(env.LATENCY_CONF)],
    log: createLog(() => {}, { level: 'info', format: 'json', colour: false, redactor }),
    redactor,
  });
  console.log(JSON.stringify({ port: Number(running.address.split(':').at(-1)) }));
  for await (const _ of createInterface({ input: process.stdin })) {
    for (let i = 0; i < 4; i++) {
      const socket = running.tunnel.net.connect({ host: 'source.test', port: 80 });
      socket.on('data', () => {}).on('error', () => {});
    }
    console.log('{}');
  }
}
