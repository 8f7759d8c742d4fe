/** What proxies of a row send to, in a process of its own: answers every request with the same bytes, and counts. */
import uWS from 'uWebSockets.js';
import { answerParent } from '../../gateways/child.ts';

let served = 0;
let bytes = 0;

export const questions = {
  /** @returns its port */
  async listen(bodyBytes: number): Promise<number> {
    const body = 'x'.repeat(bodyBytes);
    const app = uWS
      .App()
      .get('/*', (response) => {
        served += 1;
        response.writeHeader('content-type', 'text/plain').end(body);
      })
      .post('/*', (response) => {
        response.onAborted(() => {});
        response.onData((chunk, last) => {
          bytes += chunk.byteLength;
          if (!last) return;
          served += 1;
          response.cork(() => response.writeHeader('content-type', 'text/plain').end(body));
        });
      });
    return await new Promise((resolve, reject) => {
      app.listen('127.0.0.1', 0, (socket) => {
        if (socket) resolve(uWS.us_socket_local_port(socket));
        else reject(new Error('the backend got no port'));
      });
    });
  },
  /** Requests since it was asked last, and the bytes of their bodies. */
  served(): { readonly requests: number; readonly bytes: number } {
    const counts = { requests: served, bytes };
    served = 0;
    bytes = 0;
    return counts;
  },
};

export type BackendQuestions = typeof questions;

answerParent(questions);
