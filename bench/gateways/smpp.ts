/**
 * `gateways/smpp/…`: submits an SMPP gateway of the daemon does a second on one session, beside npm
 * `smpp` alone with the same window.
 */
import { type BesideBare, besideBare, PAYLOAD_BYTES, type Pace } from './beside-bare.ts';
import { Child } from './child.ts';
import { DaemonSide } from './daemon-side.ts';
import type { BareSmppQuestions, BareSmppWay } from './load/bare-smpp.ts';
import type { SmscQuestions } from './load/smsc.ts';
import type { SeenSubmit } from './load/smsc-pdu.ts';
import { alternate, oneRound, roundServer, type Side } from './sides.ts';

const PASSWORD = { name: 'bench-smpp', value: 'bench' };

export interface SmppResult extends BesideBare {
  readonly scope: 'gateways';
  readonly name: `gateways/smpp/${number}`;
  /** Submits without an answer, at most. */
  readonly window: number;
}

export async function measureSmpp(window: number, pace: Pace): Promise<SmppResult> {
  const bare = new Child<BareSmppQuestions>('bare-smpp.ts');
  try {
    return await withSmpp(window, [], async (side, child, port) => {
      const server = roundServer(child);
      // The first rounds warm up; the daemon's shows what a submit looks like.
      await oneRound(server, side, pace.messages);
      const submit = await child.ask('first');
      checkSubmit(submit);
      await bare.ask('open', port, window, submit);
      const sides = {
        daemon: side,
        bare: bareSide(bare, 'octets'),
        bareOther: bareSide(bare, 'text'),
      };
      await oneRound(server, sides.bare, pace.messages);
      const results = await alternate(server, sides, pace);
      const name: SmppResult['name'] = `gateways/smpp/${window}`;
      return { scope: 'gateways', name, window, ...besideBare(results, pace) };
    });
  } finally {
    await bare.stop();
  }
}

/** An SMSC, and a daemon whose gateway is bound to it with one session. */
export async function withSmpp<T>(
  window: number,
  nodeArgs: readonly string[],
  use: (side: DaemonSide, server: Child<SmscQuestions>, port: number) => Promise<T>,
): Promise<T> {
  const server = new Child<SmscQuestions>('smsc.ts');
  let side: DaemonSide | undefined;
  try {
    const port = await server.ask('listen');
    process.env.FAIRLEAD_SECRET_BENCH_SMPP = PASSWORD.value;
    const smpp = { host: '127.0.0.1', port, systemId: 'bench', password: PASSWORD.name };
    side = await DaemonSide.start({ type: 'smpp', inFlightMax: window, smpp }, nodeArgs);
    return await use(side, server, port);
  } finally {
    await side?.end();
    await server.stop();
  }
}

function bareSide(bare: Child<BareSmppQuestions>, way: BareSmppWay): Side {
  return { pid: bare.pid, send: async (messages) => await bare.ask('send', messages, way) };
}

/** @throws Error unless it is one message in one part, its text in the default alphabet */
function checkSubmit({ short_message: octets, data_coding: coding, esm_class: esm }: SeenSubmit) {
  if (octets.length !== PAYLOAD_BYTES || coding !== 0 || esm !== 0) {
    throw new Error(`a submit of ${octets.length} octets, coding ${coding}, class ${esm}`);
  }
}
