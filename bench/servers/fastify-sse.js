// https://github.com/fastify/sse#connection-management
import sse from '@fastify/sse';
import Fastify from 'fastify';

const fastify = Fastify();
await fastify.register(sse);

fastify.get('/count', { sse: true }, async (_request, reply) => {
  reply.sse.keepAlive();
  reply.sse.sendHeaders();
  let count = 0;
  const interval = setInterval(async () => {
    count += 1;
    if (reply.sse.isConnected) await reply.sse.send({ id: String(count), data: count });
  }, 1000);
  reply.sse.onClose(() => clearInterval(interval));
});

await fastify.listen({ port: 0, host: '127.0.0.1' });
console.log(`http://localhost:${fastify.server.address().port}`);
