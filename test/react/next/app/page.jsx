'use client';

export { Page as default } from '../../page.tsx';
