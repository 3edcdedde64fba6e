import { numbers } from '../../../numbers.ts';

export const runtime = 'edge';
export const GET = numbers;
