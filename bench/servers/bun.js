// https://bun.com/docs/guides/http/sse
const TICK_MS = Number(process.env.TICK_MS ?? 1000);
const PORT = Number(process.env.PORT ?? 0);

const { port } = Bun.serve({
  port: PORT,
  routes: {
    '/count': (request, server) => {
      server.timeout(request, 0);
      return new Response(
        async function* () {
          for (let count = 1; ; count += 1) {
            await Bun.sleep(TICK_MS);
            yield `id: ${count}\ndata: ${count}\n\n`;
          }
        },
        { headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' } },
      );
    },
  },
});
console.log(`http://localhost:${port}`);
