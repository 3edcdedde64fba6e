// Serves one stream under each framework, and prints where: read by test/frameworks.proof.ts.
import { createRequire } from 'node:module';
import { serve } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import polka from '@polka/compression';
import express4 from 'express4';
import Fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { openEventStream } from '../../server/eventStream.ts';

const spans = new InMemorySpanExporter();
const tracer = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const instrumentation = new HttpInstrumentation();
instrumentation.setTracerProvider(tracer);
const { createServer } = createRequire(import.meta.url)('node:http'); // traced from here on

/** Sends three numbers, one in each turn of a timer. */
function source(stream) {
  let n = 0;
  const timer = setInterval(() => {
    n += 1;
    stream.send({ id: n, data: n });
    if (n === 3) stream.finish();
  }, 10);
  return () => clearInterval(timer);
}

const fastify = Fastify();
fastify.get('/', (request, reply) => {
  reply.hijack();
  openEventStream(request.raw, reply.raw, source);
});

const koa = new Koa();
koa.use((ctx) => {
  ctx.respond = false;
  openEventStream(ctx.req, ctx.res, source);
});

const hono = new Hono();
hono.get('/', (context) => {
  openEventStream(context.env.incoming, context.env.outgoing, source);
  return RESPONSE_ALREADY_SENT;
});

const polkaServer = (threshold) => {
  const compress = polka({ threshold });
  return createServer((req, res) =>
    compress(req, res, () => {
      try {
        openEventStream(req, res, source);
      } catch (error) {
        console.log(`error ${error.message}`);
      }
    }),
  );
};

const servers = {
  koa: createServer(koa.callback()),
  'express 4': createServer(express4().get('/', (req, res) => openEventStream(req, res, source))),
  'polka compression, which leaves short chunks alone': polkaServer(1024),
  'polka compression of all': polkaServer(0),
  opentelemetry: createServer((req, res) => {
    openEventStream(req, res, source);
    res.once('close', () => setImmediate(() => console.log(`spans ${spans.getFinishedSpans().length}`)));
  }),
};
for (const [name, server] of Object.entries(servers)) {
  server.listen(0, '127.0.0.1', () => console.log(`server ${server.address().port} ${name}`));
}
serve({ fetch: hono.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`server ${port} hono`),
);
await fastify.listen({ port: 0, host: '127.0.0.1' });
console.log(`server ${fastify.server.address().port} fastify`);
const { body } = await fastify.inject('/');
console.log(`injected ${JSON.stringify(body)}`);
