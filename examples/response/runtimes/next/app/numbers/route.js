import { numbers } from '../../../numbers.ts';

export const GET = numbers;
