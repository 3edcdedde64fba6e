const KEY = 'last event ID of /count';

/**
 * The last event ID that this tab has seen, or `''`. It outlives a reload and a restart of the dev server; a
 * new tab has none, and a duplicated tab goes on from its copy.
 */
export function recallLastId(): string {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return ''; // storage is blocked: a reload starts over
  }
}

/** Keeps the last event ID for `recallLastId`; `''` forgets it. */
export function keepLastId(id: string): void {
  try {
    sessionStorage.setItem(KEY, id);
  } catch {
    // Storage is blocked, and nothing else depends on it.
  }
}
