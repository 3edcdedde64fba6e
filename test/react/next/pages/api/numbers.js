import { openEventStream } from '../../../../../server/eventStream.ts';

export default function handler(req, res) {
  openEventStream(req, res, async (stream) => {
    for (let n = 1; n <= 3; n += 1) stream.send({ id: n, data: n });
  });
}
