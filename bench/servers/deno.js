// https://docs.deno.com/examples/http_server_sse/
const TICK_MS = Number(Deno.env.get('TICK_MS') ?? 1000);
const PORT = Number(Deno.env.get('PORT') ?? 0);
const encoder = new TextEncoder();

function handler() {
  let interval;
  const body = new ReadableStream({
    start(controller) {
      let count = 0;
      interval = setInterval(() => {
        count += 1;
        controller.enqueue(encoder.encode(`id: ${count}\ndata: ${count}\n\n`));
      }, TICK_MS);
    },
    cancel() {
      clearInterval(interval);
    },
  });
  return new Response(body, {
    headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' },
  });
}

const onListen = ({ port }) => console.log(`http://localhost:${port}`);
Deno.serve({ port: PORT, onListen }, handler);
