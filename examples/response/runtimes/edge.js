import { numbers } from './numbers.ts';

addEventListener('fetch', (event) => event.respondWith(numbers(event.request)));
