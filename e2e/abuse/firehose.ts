import { createServer } from 'node:http';
import { count } from '../../server/count.ts';
import { openEventStream } from '../../server/eventStream.ts';

const tickMs = Number(process.env['TICK_MS']);
/** Large, so that filling takes no time, and smaller than what may wait. */
const FILLING = 'x'.repeat(15_000);

/**
 * Streams that fill the kernel's buffers at once, where a number a second takes hours: what comes then waits in the
 * process. `/` goes on to count, `/quiet` sends nothing more. `/count` counts and fills nothing.
 */
const server = createServer((req, res) => {
  openEventStream(req, res, (stream) => {
    const start = (): (() => void) => count(1, tickMs, (n) => stream.send({ id: n, data: n }));
    let stop = req.url === '/count' ? start() : fill();
    return () => stop();

    function fill(): () => void {
      const timer = setImmediate(() => {
        stream.send({ event: 'filling', data: FILLING });
        if (req.socket.writableLength === 0) stop = fill();
        else if (req.url !== '/quiet') stop = start();
      });
      return () => clearImmediate(timer);
    }
  });
}).listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`http://localhost:${address.port}`);
});
