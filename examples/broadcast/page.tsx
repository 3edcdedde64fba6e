import { useEffect, useState, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { parse } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';
import { words } from '../words.ts';
import type { Quotes } from './server.ts';

/** Time to read a notice. The board has been up to date since it appeared. */
const NOTICE_MS = 10_000;

function Board(): ReactElement {
  const [prices, setPrices] = useState<Record<string, number>>({});
  const [missed, setMissed] = useState(0); // how often
  useEffect(() => {
    const timer = missed > 0 ? setTimeout(() => setMissed(0), NOTICE_MS) : undefined;
    return () => clearTimeout(timer);
  }, [missed]);
  const { status } = useEventSource<Quotes>('/quotes', {
    snapshot: ({ data }) => setPrices(parse(data)),
    price({ data }) {
      const { name, price } = parse(data);
      setPrices((before) => ({ ...before, [name]: price }));
    },
    reset: () => setMissed((times) => times + 1),
  });

  return (
    <>
      <h1>Broadcast</h1>
      <p role="status">{words(status)}</p>
      <table>
        <tbody>
          {Object.entries(prices).map(([name, price]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{(price / 100).toFixed(2)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {missed > 0 && <p role="alert">Some prices were missed. These are the current ones.</p>}
    </>
  );
}

const main = document.querySelector('main');
if (main) createRoot(main).render(<Board />);
