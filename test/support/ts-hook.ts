/** `--import` of a child process that runs TypeScript of this repository. */
export const tsHook = new URL('../../scripts/ts-hook.mjs', import.meta.url).href;
