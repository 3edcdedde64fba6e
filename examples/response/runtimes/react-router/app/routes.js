import { route } from '@react-router/dev/routes';

export default [route('numbers', './numbers.js')];
