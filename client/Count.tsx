import { useEffect, type ReactElement } from 'react';

/** The number, large, and in the title of the page. */
export function Count({ value }: { value: number }): ReactElement {
  useEffect(() => {
    document.title = `${value} · SSE counter`;
  }, [value]);

  return (
    <p className="count" role="timer" data-beat={value % 2}>
      {value}
    </p>
  );
}
