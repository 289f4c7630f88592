/**
 * Two plain TCP servers: one that sends without end, at `port`, and one that reads without end, at `port` + 1; and at the path
 * `counter` one that tells everybody who connects how many bytes were read so far.
 */
import net from 'node:net';

const [host, port, counter] = process.argv.slice(2);
const chunk = Buffer.alloc(64 << 10);
let received = 0;

await listen(pour, Number(port), host);
await listen(count, Number(port) + 1, host);
await listen((socket) => socket.on('error', () => {}).end(`${received}`), counter);
process.stdout.write('ready\n');

function listen(onConnection, ...where) {
  return new Promise((resolve) => net.createServer(onConnection).listen(...where, resolve));
}

function pour(socket) {
  socket.on('error', () => {});
  const fill = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', fill);
  fill();
}

function count(socket) {
  socket.on('error', () => {});
  socket.on('data', (data) => (received += data.length));
}
