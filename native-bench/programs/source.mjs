/** Two plain TCP servers: one that sends without end, at `port`, and one that reads without end, at `port` + 1. */
import net from 'node:net';

const [host, port] = process.argv.slice(2);
const chunk = Buffer.alloc(64 << 10);

net.createServer(pour).listen(Number(port), host, () => {
  net
    .createServer((socket) => socket.on('error', () => {}).resume())
    .listen(Number(port) + 1, host, () => {
      process.stdout.write('ready\n');
    });
});

function pour(socket) {
  socket.on('error', () => {});
  const fill = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', fill);
  fill();
}
