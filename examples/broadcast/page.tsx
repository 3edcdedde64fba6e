import { useState, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { parse } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';
import type { Quotes } from './server.ts';
import '../page.css';

function Board(): ReactElement {
  const [prices, setPrices] = useState<Record<string, number>>({});
  const [resets, setResets] = useState(0);
  const { status } = useEventSource<Quotes>('/quotes', {
    snapshot: ({ data }) => setPrices(parse(data)),
    price({ data }) {
      const { name, price } = parse(data);
      setPrices((before) => ({ ...before, [name]: price }));
    },
    reset: () => setResets((before) => before + 1),
  });

  return (
    <>
      <h1>Broadcast</h1>
      <p role="status">{status.state}</p>
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
      {resets > 0 && <p role="alert">Some prices were missed. These are the current ones.</p>}
    </>
  );
}

const main = document.querySelector('main');
if (main) createRoot(main).render(<Board />);
