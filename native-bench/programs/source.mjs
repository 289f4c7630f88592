/**
 * Two plain TCP servers: one that sends without end, at `port`, and one that reads without end, at `port` + 1; and at the path
 * `counter` one that tells everybody who connects how many bytes were read so far.
 */
import net from 'node:net';

const [host, port, counter] = process.argv.slice(2);
const chunk = Buffer.alloc(64 << 10);
let received = 0;

await listen(pour, {}, Number(port), host);
await listen(count, { pauseOnConnect: true }, Number(port) + 1, host);
await listen((socket) => socket.on('error', () => {}).end(`${received}`), {}, counter);
process.stdout.write('ready\n');

function listen(onConnection, options, ...where) {
  return new Promise((resolve) => net.createServer(options, onConnection).listen(...where, resolve));
}

function pour(socket) {
  socket.on('error', () => {});
  const fill = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', fill);
  fill();
}

/**
 * Reads into one buffer, as the clients of downloads do: else making and collecting buffers takes a twentieth of a core from the upload
 * that is measured. `onread` is for sockets that connect; one that was accepted hands its handle to a socket that has it.
 */
function count({ _handle: handle }) {
  const onread = { buffer: chunk, callback: take };
  const socket = new net.Socket({ handle, onread });
  socket.on('error', () => {});
  socket.resume();
}

function take(length) {
  received += length;
  return true;
}
