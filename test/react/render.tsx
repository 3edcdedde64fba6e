import { renderToString } from 'react-dom/server';
import { page } from './page.tsx';

export const html = renderToString(page);
