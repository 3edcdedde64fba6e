import { numbers } from '../../numbers.ts';

export const loader = ({ request }) => numbers(request);
