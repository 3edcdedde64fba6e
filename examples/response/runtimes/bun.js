import { numbers } from './numbers.ts';

// In seconds, and longer than the heartbeat: by default Bun cuts what is silent for 10 s.
const { port } = Bun.serve({ port: 0, hostname: '127.0.0.1', idleTimeout: 30, fetch: numbers });
console.log(`http://127.0.0.1:${port}`);
