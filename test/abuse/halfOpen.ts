import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { atMost, eventually, type Outcome } from './outcome.ts';
import { startProbed } from './process.ts';

const CLIENT = `
  const { connect } = require('node:net');
  let open = 0;
  for (let i = 0; i < Number(process.argv[3]); i++) {
    const socket = connect(Number(process.argv[2]), process.argv[1]);
    socket.write('GET /count HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n');
    socket.once('data', () => console.log('open')).on('error', () => {});
  }
`;

/** Why half-open clients can't be made here, or undefined. */
export function whyNoNamespaces(): string | undefined {
  try {
    const name = `sse-${process.pid}-try`;
    ip('netns', 'add', name);
    ip('netns', 'del', name);
    return undefined;
  } catch {
    return 'network namespaces: expected Linux, root and iproute2, found one of them missing';
  }
}

/**
 * Clients whose network vanishes: their link goes down, and no packet tells the server. Its kernel
 * retransmits unacknowledged data, and closes the connection after `net.ipv4.tcp_retries2` retransmissions
 * (15 by default). Neither Node nor the app can notice it earlier: at a number a second, the kernel's buffer
 * takes hours to fill.
 */
export async function halfOpen(clients: number, retries: number): Promise<Outcome> {
  const server = `sse-${process.pid}-s`;
  const client = `sse-${process.pid}-c`;
  const undo: (() => unknown)[] = [];
  try {
    for (const name of [server, client]) {
      ip('netns', 'add', name);
      undo.push(() => ip('netns', 'del', name));
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    ip('-n', server, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', client);
    ip('-n', server, 'address', 'add', '10.0.0.1/24', 'dev', 'cable');
    ip('-n', client, 'address', 'add', '10.0.0.2/24', 'dev', 'cable');
    for (const name of [server, client]) ip('-n', name, 'link', 'set', 'cable', 'up');
    // As if a router were between the two: the server's kernel keeps a neighbour to send to.
    const [{ address }] = JSON.parse(ip('-n', client, '-json', 'link', 'show', 'cable'));
    ip('-n', server, 'neigh', 'replace', '10.0.0.2', 'lladdr', address, 'dev', 'cable', 'nud', 'permanent');
    ip('netns', 'exec', server, 'sysctl', '-qw', `net.ipv4.tcp_retries2=${retries}`);

    const probed = await startProbed({ env: { HOST: '10.0.0.1' }, namespace: server });
    undo.push(probed.stop);
    const before = await probed.figures('collect');
    const args = [
      'netns',
      'exec',
      client,
      process.execPath,
      '-e',
      CLIENT,
      '10.0.0.1',
      `${probed.port}`,
      `${clients}`,
    ];
    const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    undo.push(async () => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    });
    let opened = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (opened += text));
    await eventually('all clients open', () => opened.split('\n').length > clients);

    ip('-n', client, 'link', 'set', 'cable', 'down');
    const cut = performance.now();
    // The first packet that gets lost is sent a tick after the cut.
    const bound = givenUpAfterMs(retries) * 1.3 + 5000;
    await eventually('all given up', async () => (await probed.figures()).sockets === before.sockets, bound);
    const ms = performance.now() - cut;
    atMost('given up, ms', ms, bound);
    const after = await probed.figures('collect');
    atMost('timers left', after.timers, before.timers);
    return {
      cases: clients,
      beforeBytes: before.heapBytes,
      afterBytes: after.heapBytes,
      found: `given up after ${(ms / 1000).toFixed(1)} s with tcp_retries2=${retries} (by Linux's default, 15, it takes 15 to 18 minutes); heap`,
    };
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

/** How long Linux retransmits, ms: after 200 ms, doubled each time up to 120 s, `retries` times. */
function givenUpAfterMs(retries: number): number {
  let sum = 0;
  for (let i = 0; i <= retries + 1; i++) sum += Math.min(200 * 2 ** i, 120_000);
  return sum;
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
