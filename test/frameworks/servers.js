// Serves one stream under each framework, and prints where: read by test/frameworks.proof.ts.
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { serve } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Controller, Get, Module, Req, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import polka from '@polka/compression';
import express4 from 'express4';
import Fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import serverless from 'serverless-http';
import { openEventStream } from '../../server/eventStream.ts';

const spans = new InMemorySpanExporter();
const tracer = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
new HttpInstrumentation().setTracerProvider(tracer);
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
hono.get('/', ({ env }) => {
  openEventStream(env.incoming, env.outgoing, source);
  return RESPONSE_ALREADY_SENT;
});

// In TypeScript: @Controller() class Numbers { @Get() get(@Req() req, @Res() res) { … } }
class Numbers {
  get(req, res) {
    openEventStream(req, res, source);
  }
}
Controller()(Numbers);
Get()(Numbers.prototype, 'get', Object.getOwnPropertyDescriptor(Numbers.prototype, 'get'));
Req()(Numbers.prototype, 'get', 0);
Res()(Numbers.prototype, 'get', 1);
function App() {}
Module({ controllers: [Numbers] })(App);
const nest = await NestFactory.create(App, { logger: false });
await nest.init();

/** A server whose responses are compressed by a middleware that does not know `no-transform`. */
const compressed = (threshold) =>
  createServer((req, res) =>
    polka({ threshold })(req, res, () => {
      try {
        openEventStream(req, res, source);
      } catch (error) {
        console.log(`error ${error.message}`);
      }
    }),
  );

const servers = {
  fastify: fastify.server,
  koa: createServer(koa.callback()),
  nest: nest.getHttpServer(),
  'express 4': createServer(express4().get('/', (req, res) => openEventStream(req, res, source))),
  'polka compression, which leaves short chunks alone': compressed(1024),
  'polka compression of all': compressed(0),
  opentelemetry: createServer((req, res) => {
    openEventStream(req, res, source);
    res.once('close', () => setImmediate(() => console.log(`spans ${spans.getFinishedSpans().length}`)));
  }),
};
await fastify.ready();
console.log(`injected ${JSON.stringify((await fastify.inject('/')).body)}`);
const answer = await serverless((req, res) => openEventStream(req, res, source))(
  { path: '/', headers: {} },
  {},
);
console.log(`serverless ${JSON.stringify(answer.body)}`);
for (const [name, server] of Object.entries(servers)) {
  server.listen(0, '127.0.0.1', () => console.log(`server ${server.address().port} ${name}`));
}
serve({ fetch: hono.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`server ${port} hono`),
);
