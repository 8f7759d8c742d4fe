// How a listener of the network library begins: with or without TLS, and alone on its address.
import type uWS from 'uWebSockets.js';

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** @throws Error when the certificate cannot be used */
export function openApp(library: typeof uWS, tls: TlsFiles | undefined): uWS.TemplatedApp {
  if (tls === undefined) return library.App();
  const { certFile, keyFile } = tls;
  try {
    return library.SSLApp({ cert_file_name: certFile, key_file_name: keyFile });
  } catch (error) {
    // The library does not say which, nor why.
    const message = `TLS: ${certFile} or ${keyFile} cannot be read, or they do not belong together`;
    throw new Error(message, { cause: error });
  }
}

type ListenExclusive = (
  host: string,
  port: number,
  options: number,
  done: (listener: uWS.us_listen_socket | false) => void,
) => void;

const LISTEN_EXCLUSIVE = 1;

/**
 * Exclusive, because the library shares ports by default: a second daemon would take half of the
 * connections without a word.
 *
 * @throws Error when the address is in use or not of this host
 */
export async function listenAlone(
  app: uWS.TemplatedApp,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<uWS.us_listen_socket> {
  // The library's types lack this form of listen.
  const listen = app.listen.bind(app) as unknown as ListenExclusive;
  const listener = await new Promise<uWS.us_listen_socket | false>((resolve) => {
    listen(host, port, LISTEN_EXCLUSIVE, resolve);
  });
  if (listener) return listener;
  throw new Error(`cannot listen on ${host}:${port}: the address is in use or not of this host`);
}
