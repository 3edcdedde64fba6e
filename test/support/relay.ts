import { connect, createServer, type Socket } from 'node:net';
import { listen } from './testServer.ts';

/** Passes TCP connections on, until it is told to cut. */
export interface Relay {
  name: string;
  port: number;
  /**
   * While this is set, only a share of what comes next for a client goes through, and then its connection
   * ends, or is silent for ever, as when the network is gone.
   */
  cut: { share: number; ending: 'FIN' | 'RST' | 'silence' } | undefined;
}

/** Starts a relay to `target`, a port of 127.0.0.1. It ends with the test. */
export async function startRelay(target: number, name: string): Promise<Relay> {
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true });
    leaveTogether(client, upstream);
    client.on('data', (chunk) => void upstream.write(chunk));
    upstream.on('data', (chunk: Buffer) => {
      if (relay.cut === undefined) return void client.write(chunk);
      const { share, ending } = relay.cut;
      upstream.pause(); // nothing may follow what was left out
      client.write(chunk.subarray(0, chunk.length * share), () => {
        if (ending === 'FIN') client.destroy();
        if (ending === 'RST') client.resetAndDestroy();
      });
    });
  });
  const relay: Relay = { name, port: (await listen(server)).port, cut: undefined };
  return relay;
}

/** When one socket closes or fails, the other sends what it still has and closes, too. */
function leaveTogether(a: Socket, b: Socket): void {
  a.on('error', () => b.destroySoon()).on('close', () => b.destroySoon());
  b.on('error', () => a.destroySoon()).on('close', () => a.destroySoon());
}
