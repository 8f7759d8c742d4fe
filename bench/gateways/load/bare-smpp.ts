/**
 * The other side of the SMPP rows: npm `smpp` alone, in a process of its own, with one bound session and
 * a window. It submits what was seen before, only the numbers of the messages change.
 */
import { once } from 'node:events';
import smpp from 'smpp';
import { answerParent } from '../child.ts';
import { markersOf, writeMarker } from './marker.ts';
import type { SeenSubmit } from './smsc-pdu.ts';

/** Whether the library gets the octets, or a text that it has to encode. */
export type BareSmppWay = 'octets' | 'text';

let session: ReturnType<typeof smpp.connect> | undefined;
let template: { readonly fields: SeenSubmit; readonly marker: number } | undefined;
let window = 0;

export const questions = {
  async open(port: number, windowSize: number, submit: SeenSubmit): Promise<void> {
    const opened = smpp.connect({ host: '127.0.0.1', port });
    await once(opened as unknown as NodeJS.EventEmitter, 'connect');
    await new Promise<void>((resolve, reject) => {
      const bind = { system_id: 'bench', password: 'bench' };
      opened.bind_transceiver(bind, ({ command_status: status }) => {
        if (status === 0) resolve();
        else reject(new Error(`bind answered ${status}`));
      });
    });
    const [marker] = markersOf(Buffer.from(submit.short_message));
    if (marker === undefined) throw new Error('a submit without a message');
    session = opened;
    window = windowSize;
    template = { fields: submit, marker };
  },
  /** Submits messages 0…n-1; resolves when all are answered. */
  send(messages: number, way: BareSmppWay): Promise<void> {
    return new Promise((resolve, reject) => {
      let [next, answered] = [0, 0];
      const submit = (): void => {
        next += 1;
        session?.submit_sm(fieldsOf(next - 1, way), (answer) => {
          answered += 1;
          if (answer.command_status !== 0) reject(new Error(`answered ${answer.command_status}`));
          if (next < messages) submit();
          else if (answered === messages) resolve();
        });
      };
      for (let place = 0; place < Math.min(window, messages); place += 1) submit();
    });
  },
};

export type BareSmppQuestions = typeof questions;

function fieldsOf(sequence: number, way: BareSmppWay) {
  if (template === undefined) throw new Error('not open');
  const octets = Buffer.from(template.fields.short_message);
  writeMarker(octets, template.marker, sequence);
  const short_message = way === 'octets' ? octets : octets.toString('latin1');
  return { ...template.fields, short_message };
}

answerParent(questions);
