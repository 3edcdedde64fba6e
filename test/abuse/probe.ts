import { readdirSync } from 'node:fs';

// Loaded into a server's process before its program: reports figures to the test, so that the product needs
// no back door.
process.on('message', (request) => {
  if (request === 'throw') throw new Error('thrown on purpose');
  if (request === 'collect') for (let i = 0; i < 3; i++) global.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const resources = process.getActiveResourcesInfo();
  const number = (kind: string): number => resources.filter((one) => one === kind).length;
  process.send?.({
    rssBytes: rss,
    heapBytes: heapUsed,
    cpuMs: (user + system) / 1000,
    sockets: number('TCPSocketWrap'),
    timers: number('Timeout'),
    descriptors: process.platform === 'win32' ? 0 : readdirSync('/dev/fd').length,
  });
});
process.on('disconnect', () => process.exit()); // the test has ended
process.channel?.unref();
