import { renderToString } from 'react-dom/server';
import { page } from './page.tsx';

console.log(renderToString(page));
