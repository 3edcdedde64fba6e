// The least that Node can do: a bare socket, a timer and a string. The floor where there is no C compiler.
import { createServer } from 'node:net';

const TICK_MS = Number(process.env.TICK_MS ?? 1000);
const PORT = Number(process.env.PORT ?? 0);
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n';

const server = createServer((socket) => {
  let count = 0;
  let interval;
  socket.once('data', () => {
    socket.write(HEAD);
    interval = setInterval(() => {
      count += 1;
      socket.write(`id: ${count}\ndata: ${count}\n\n`);
    }, TICK_MS);
  });
  socket.on('error', () => {}).on('close', () => clearInterval(interval));
});

server.listen({ port: PORT, backlog: 4096 }, () => console.log(`http://localhost:${server.address().port}`));
