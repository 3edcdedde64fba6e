// https://docs.deno.com/examples/http_server_sse/
const encoder = new TextEncoder();

function handler() {
  let interval;
  const body = new ReadableStream({
    start(controller) {
      let count = 0;
      interval = setInterval(() => {
        count += 1;
        controller.enqueue(encoder.encode(`id: ${count}\ndata: ${count}\n\n`));
      }, 1000);
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
Deno.serve({ port: 0, onListen }, handler);
