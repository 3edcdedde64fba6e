import { useEffect, useState } from 'react';

/** The time, ms since the epoch, updated `intervalMs` after the later of `since` and the last update. */
export function useNow(intervalMs: number, since = 0): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const wait = Math.max(now, since) + intervalMs - Date.now();
    const timer = setTimeout(() => setNow(Date.now()), Math.min(wait, intervalMs)); // clocks may be set back
    return () => clearTimeout(timer);
  }, [intervalMs, now, since]);
  return now;
}
