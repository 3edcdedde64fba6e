import express from 'express';
import { openEventStream } from '../../server/eventStream.ts';
import { serve } from '../serve.ts';

export const app = express();

app.get('/clock', (req, res) => {
  openEventStream(req, res, (stream) => {
    const timer = setInterval(() => stream.send({ data: new Date().toISOString() }), 1000);
    return () => clearInterval(timer);
  });
});

serve(app, import.meta);
