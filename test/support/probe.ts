import { readdirSync } from 'node:fs';

// Loaded into a server's process before its program: answers each message with what the process holds after a
// forced garbage collection, so that the product needs no back door.
process.on('message', () => {
  for (let i = 0; i < 3; i++) global.gc?.();
  const resources = process.getActiveResourcesInfo();
  const number = (kind: string): number => resources.filter((one) => one === kind).length;
  process.send?.({
    heapBytes: process.memoryUsage().heapUsed,
    sockets: number('TCPSocketWrap'),
    timers: number('Timeout'),
    descriptors: process.platform === 'win32' ? 0 : readdirSync('/dev/fd').length,
  });
});
process.channel?.unref();
