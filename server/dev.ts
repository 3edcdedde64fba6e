import { createServer } from 'vite';
import { createApp } from './app.ts';
import { createExpressServer } from './expressServer.ts';
import { listenOrExit, settingsOrExit } from './start.ts';

// npm run dev: the app as in production, with Vite behind its routes instead of the built page. tsx starts
// this anew at each edit of the server; Vite updates the page in place at each edit of the client.
const settings = settingsOrExit();
const { app } = createApp(settings);
const server = createExpressServer(app);
const vite = await createServer({ appType: 'mpa', server: { middlewareMode: true, hmr: { server } } });
app.use(vite.middlewares);
listenOrExit(server, settings.port, settings.host ?? 'localhost', 'npm run dev'); // Vite serves sources
