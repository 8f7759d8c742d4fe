/**
 * Loads the network library. Where its binary does not fit the host, the package falls back to an
 * imitation in JavaScript, many times slower; it is taken only when that was asked for.
 */
import uWS from 'uWebSockets.js';

export interface LoadOptions {
  readonly allowFallback: boolean;
  /** The module; another one in tests. */
  readonly module?: object;
}

/** Only the native build has this function. */
export function isNative(module: object = uWS): boolean {
  return 'getParts' in module;
}

/** Throws when only the imitation loaded and it is not allowed. */
export function loadLibrary({ allowFallback, module = uWS }: LoadOptions): typeof uWS {
  if (!isNative(module) && !allowFallback) {
    throw new Error(
      'uWebSockets.js: no native build for this Node version and system, only its slow JavaScript imitation; ' +
        'use Node 20 on Linux, macOS or Windows, or set ingress.allowFallback',
    );
  }
  return module as typeof uWS;
}
