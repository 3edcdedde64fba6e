// https://github.com/fastify/sse#connection-management
import sse from '@fastify/sse';
import Fastify from 'fastify';

const TICK_MS = Number(process.env.TICK_MS ?? 1000);
const PORT = Number(process.env.PORT ?? 0);

const fastify = Fastify();
await fastify.register(sse);

fastify.get('/count', { sse: true }, async (_request, reply) => {
  reply.sse.keepAlive();
  reply.sse.sendHeaders();
  let count = 0;
  const interval = setInterval(async () => {
    count += 1;
    if (reply.sse.isConnected) await reply.sse.send({ id: String(count), data: count });
  }, TICK_MS);
  reply.sse.onClose(() => clearInterval(interval));
});

await fastify.listen({ port: PORT, host: '127.0.0.1' });
console.log(`http://localhost:${fastify.server.address().port}`);
