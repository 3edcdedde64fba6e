// Runs in the page before its own scripts. React reports its commits to the hook that its developer tools would set.
const notes = { firstNumberAt: 0, commits: 0, longTasks: [] };
const hook = {
  supportsFiber: true,
  renderers: new Map(),
  inject: () => 1,
  checkDCE() {},
  onCommitFiberUnmount() {},
  onPostCommitFiberRoot() {},
  onCommitFiberRoot() {
    notes.commits += 1;
  },
};
Object.assign(globalThis, { notes, ['__REACT_DEVTOOLS_GLOBAL_HOOK__']: hook });

new PerformanceObserver((list) => {
  notes.longTasks.push(...list.getEntries().map(({ duration }) => duration));
}).observe({ type: 'longtask', buffered: true });

const observer = new MutationObserver(() => {
  const number = document.querySelector('[role=timer]')?.textContent ?? '';
  if (!/^[1-9]\d*$/.test(number)) return;
  observer.disconnect();
  // The second frame begins when the first one is painted.
  requestAnimationFrame(() => requestAnimationFrame(() => (notes.firstNumberAt = performance.now())));
});
observer.observe(document, { subtree: true, childList: true, characterData: true });
