import express from 'express';
import { lastEventId, openEventStream } from '../../server/eventStream.ts';
import { serve } from '../serve.ts';
import { openLog, type LogEvents } from './log.ts';

const url = process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379';
const log = await openLog(url, Number(process.env['MAX_LENGTH'] ?? 10_000));
const app = express();

app.get('/log', (req, res) => {
  openEventStream<LogEvents>(req, res, (stream) => log.follow(stream, lastEventId(req)));
});

app.post('/log', express.urlencoded(), async (req, res) => {
  const text: unknown = req.body?.text;
  if (typeof text !== 'string' || text === '')
    return void res.status(400).send('text: expected some, found none\n');
  await log.append(text);
  res.redirect(303, '/');
});

serve(app, import.meta.dirname);
