import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { count } from '../../server/count.ts';
import { openEventStream } from '../../server/eventStream.ts';
import { cert, key } from '../support/certificate.ts';

const tickMs = Number(process.env['TICK_MS']);
/** Large, so that few are needed. */
const FILLING = 'x'.repeat(15_000);

/**
 * Streams that first fill the kernel's buffers, which takes hours with a number a second. Later messages are
 * buffered in the process. After that `/` counts, and `/quiet` sends nothing. `/count` only counts. With
 * `TLS` set, all this over TLS.
 */
const listener: RequestListener = (req, res) => {
  openEventStream(req, res, (stream) => {
    const start = (): (() => void) => count(1, tickMs, (n) => stream.send({ id: n, data: n }));
    let stop = req.url === '/count' ? start() : fill();
    return () => stop();

    function fill(): () => void {
      const timer = setTimeout(() => {
        if (req.socket.writableLength === 0) {
          stream.send({ event: 'filling', data: FILLING });
          stop = fill();
        } else if (req.url !== '/quiet') stop = start();
      }, 2);
      return () => clearTimeout(timer);
    }
  });
};

const server = process.env['TLS'] ? createSecureServer({ cert, key }, listener) : createServer(listener);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`http://localhost:${address.port}`);
});
