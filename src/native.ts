// The only importer of the native addon. Load it on the main thread first; workers then share the
// same copy and its statics. `src` and `dist` sit at the same depth, so one path serves both.
import { createRequire } from 'node:module';
import type * as Native from '../native/node/index.d.ts';

export const native = createRequire(import.meta.url)(
  '../native/node/fairlead.node',
) as typeof Native;
