import { numbers } from './numbers.ts';

export default { fetch: numbers };
