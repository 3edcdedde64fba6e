import { useEffect, type ReactElement } from 'react';

/** The widest digit, in parts of the font's size. */
const DIGIT_WIDTH = 0.7;

/** The number, as large as its digits allow, and in the title of the page. */
export function Count({ value }: { value: number }): ReactElement {
  useEffect(() => {
    document.title = `${value} · SSE counter`;
  }, [value]);

  const widest = 100 / (String(value).length * DIGIT_WIDTH);
  return (
    <p className="count" role="timer" style={{ fontSize: `min(11rem, ${widest}cqi)` }}>
      {value}
    </p>
  );
}
