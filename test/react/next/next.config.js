import { join } from 'node:path';

export default {
  reactCompiler: { panicThreshold: 'all_errors' },
  turbopack: { root: join(import.meta.dirname, '../../..') },
};
