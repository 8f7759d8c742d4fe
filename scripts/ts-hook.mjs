// Makes Node run the TypeScript of this repository. Preloaded in every thread: workers inherit the flag
// `--import`, not the hooks.
import { register } from 'node:module';

register('./ts-loader.mjs', import.meta.url);
// What is kept beside the code points back to the lines that were written.
process.setSourceMapsEnabled(true);
