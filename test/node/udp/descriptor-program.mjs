/**
 * Run as a program by native.test.ts, on the build: with `--expose-gc`, what becomes of the ports' memory when nobody holds it; with an
 * argument `forbid`, under a filter (seccomp(2)) that refuses recvmmsg and sendmmsg with EPERM.
 */
import { createRequire } from 'node:module';

const dist = (name) => import(new URL(`../../../dist/node/udp/${name}.js`, import.meta.url));
const { Poller } = await dist('poller');
const { watchedPorts } = await dist('watched-port');
const { examine } = await dist('select');
const EPERM = 1;
const loopback = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 0 };

if (process.argv[2] === 'forbid') forbid(process.arch === 'arm64' ? [243, 269] : [299, 307]);
const result = examine();
if (!result.libc) throw new Error(result.message);

let received = 0;
const handlers = {
  onBurst: (burst) => (received += burst.count),
  onDrain() {},
  onError: (error) => console.error(error),
};
/** Everything is dropped on the floor but what is still open. */
for (let round = 0; round < 12; round++) {
  const poller = new Poller(result.libc);
  const server = poller.open({ bind: loopback }, handlers);
  const watched = await watchedPorts(result.libc)({ remote: server.local }, handlers);
  const client = poller.open({ remote: server.local }, handlers);
  for (let burst = 0; burst < 3; burst++) {
    for (const port of [client, watched]) {
      for (let i = 0; i < 60; i++) port.transmit.append(new Uint8Array(500 + (i % 3)), undefined);
      port.flush();
    }
    globalThis.gc?.();
    churn();
    for (let turn = 0; turn < 20; turn++) {
      poller.wait(0);
      poller.receive();
    }
  }
  await watched.close();
  await poller.close();
}
const refused = result.libc.recvmmsg(-1, 0, 0, 0, 0) === -1 && result.libc.errno() === EPERM;
console.log(JSON.stringify({ received, refused }));

function churn() {
  for (let i = 0; i < 50; i++) new Uint8Array(100_000).fill(i);
}

/** From now on these system calls of this thread and its children end with EPERM. */
function forbid(numbers) {
  const koffi = createRequire(import.meta.url)(`@koromix/koffi-linux-${process.arch}`);
  const prctl = koffi.load(null).func('int prctl(int, uint64, uint64, uint64, uint64)');
  const [load, equal, answer] = [0x20, 0x15, 0x06];
  const [allow, refuse] = [0x7fff0000, 0x00050001];
  const instructions = [
    [load, 0, 0, 0],
    ...numbers.map((number, i) => [equal, numbers.length - i, 0, number]),
    [answer, 0, 0, allow],
    [answer, 0, 0, refuse],
  ];
  const filter = Buffer.alloc(instructions.length * 8);
  for (const [i, [code, yes, no, value]] of instructions.entries()) {
    filter.writeUInt16LE(code, i * 8);
    filter[i * 8 + 2] = yes;
    filter[i * 8 + 3] = no;
    filter.writeUInt32LE(value, i * 8 + 4);
  }
  const program = Buffer.alloc(16);
  program.writeUInt16LE(instructions.length, 0);
  program.writeBigUInt64LE(koffi.address(filter), 8);
  if (prctl(38, 1, 0, 0, 0) !== 0 || prctl(22, 2, koffi.address(program), 0, 0) !== 0)
    throw new Error(`no filter: errno ${koffi.errno()}, ${filter.length}`);
}
