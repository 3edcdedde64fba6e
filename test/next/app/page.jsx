'use client';

// react.proof.ts copies the hook, and the page that uses it, into this folder.
export { Page as default } from '../copied/test/react/page.tsx';
