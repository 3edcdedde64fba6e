// https://bun.com/docs/guides/http/sse
const { port } = Bun.serve({
  port: 0,
  routes: {
    '/count': (request, server) => {
      server.timeout(request, 0);
      return new Response(
        async function* () {
          for (let count = 1; ; count += 1) {
            await Bun.sleep(1000);
            yield `id: ${count}\ndata: ${count}\n\n`;
          }
        },
        { headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' } },
      );
    },
  },
});
console.log(`http://localhost:${port}`);
