import { useEffect, useState } from 'react';

/** The time, ms since the epoch, brought up to date each second while `isTicking`, and left as it is while not. */
export function useNow(isTicking: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!isTicking) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [isTicking]);
  return now;
}
