import { useLayoutEffect, useRef, type RefObject } from 'react';

/** How near to its end a list must be to follow what comes, px. */
const NEAR_PX = 24;

/**
 * Keeps a list that grows below and is cut above scrolled to its end. Once it is scrolled back, what is read
 * stays in its place. Not left to `overflow-anchor: auto`, which Safari lacks.
 */
export function useFollowing<List extends HTMLElement>(): RefObject<List | null> {
  const list = useRef<List>(null);
  const end = useRef(0);
  const anchor = useRef<{ row: Element; top: number }>(null);

  useLayoutEffect(() => {
    const { current: element } = list;
    const row = element?.lastElementChild;
    if (!element || !row) return;
    const topOf = (one: Element): number =>
      one.getBoundingClientRect().top - element.getBoundingClientRect().top + element.scrollTop;
    const newEnd = element.scrollHeight - element.clientHeight;
    const isFollowing = element.scrollTop >= Math.min(end.current, newEnd) - NEAR_PX;
    if (isFollowing) element.scrollTop = newEnd;
    else if (anchor.current?.row.isConnected)
      element.scrollTop += topOf(anchor.current.row) - anchor.current.top;
    end.current = newEnd;
    anchor.current = { row, top: topOf(row) };
  });
  return list;
}
