/**
 * Sends the messages of an SMPP gateway over its link: as many at one time as the link has places.
 *
 * The gateway is up while a session that can send is bound. What waits when it goes down was never
 * written and goes back to its queue; what was written ends as the link says.
 */
import type { Logger } from '../base/logger.ts';
import type { Driver, DriverHost } from './driver.ts';
import type { SmppGateway } from './gateway-service.ts';
import { type Job, NOT_ATTEMPTED, type Result } from './job.ts';
import { withTime } from './lease-time.ts';
import type { SmppLink } from './smpp/link.ts';
import type { SmppHandlers, SmppMessage, SmppSettings, SubmitResult } from './smpp/types.ts';
import type { SmppSecrets } from './smpp-secrets.ts';

export interface SmppDriverOptions {
  readonly gateway: SmppGateway;
  /** @throws FairleadError secretNotFound, invalidValue */
  readonly secrets: () => SmppSecrets;
  readonly handlers: Pick<SmppHandlers, 'onReceipt' | 'onInbound'>;
  /** Whether delivery receipts are asked for. */
  readonly receipts: boolean;
  readonly host: DriverHost;
  readonly logger: Logger;
  readonly link: (settings: SmppSettings, handlers: SmppHandlers) => SmppLink;
}

/** ESME_RINVDSTADR: there is nobody to send to. */
const NO_RECIPIENT = 0x0b;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class SmppDriver implements Driver {
  readonly #options: SmppDriverOptions;
  readonly #link: SmppLink | undefined;
  #waiting: Job[] = [];
  #closing = false;

  constructor(options: SmppDriverOptions) {
    this.#options = options;
    const { host, handlers } = options;
    const settings = settingsOf(options);
    if (settings === undefined) return;
    this.#link = options.link(settings, {
      ...handlers,
      onUp: () => {
        host.up(true);
        host.credit('full');
      },
      onDown: (reason) => {
        host.failed(reason);
        host.up(false);
        this.giveBack();
      },
      onFree: () => this.#pump(),
    });
  }

  take(jobs: readonly Job[]): void {
    this.#waiting.push(...jobs);
    this.#pump();
  }

  giveBack(): void {
    for (const job of this.#waiting.splice(0)) this.#options.host.end(job, NOT_ATTEMPTED);
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.giveBack();
    await this.#link?.close();
  }

  state(): object {
    return this.#link?.state() ?? {};
  }

  #pump(): void {
    const link = this.#link;
    if (link === undefined || !link.up || this.#closing) {
      this.giveBack();
      return;
    }
    const { ready, late } = withTime(this.#waiting.splice(0, link.free));
    for (const job of late) this.#options.host.end(job, NOT_ATTEMPTED);
    for (const job of ready) void this.#send(link, job);
    if (late.length > 0 && link.free > 0 && this.#waiting.length > 0) this.#pump();
    else this.#options.host.waits(this.#waiting.length);
  }

  async #send(link: SmppLink, job: Job): Promise<void> {
    const { host, receipts } = this.#options;
    if (job.recipient === undefined) {
      host.end(job, { kind: 'failed', code: NO_RECIPIENT });
      return;
    }
    const startMs = performance.now();
    const submitted = await link.submit(messageOf(job, job.recipient, receipts));
    if (submitted.outcome !== 'notAttempted') host.took(performance.now() - startMs);
    const result = resultOf(submitted);
    if (submitted.outcome !== 'sent') host.failed(reasonOf(submitted));
    host.end(job, result);
    if (result.kind !== 'throttled') return;
    // What waits would only be refused too, and may go elsewhere meanwhile.
    for (const each of this.#waiting.splice(0)) host.end(each, result);
  }
}

function settingsOf({
  gateway,
  secrets,
  host,
  logger,
}: SmppDriverOptions): SmppSettings | undefined {
  const { fields, inFlightMax, name } = gateway;
  const { sessions, ...more } = fields.smpp;
  try {
    const window = Math.ceil(inFlightMax / sessions);
    return { ...more, ...secrets(), sessions, window };
  } catch (error) {
    const { message } = error as Error;
    host.failed(message);
    logger.error({ gateway: name, reason: message }, 'an SMPP gateway cannot bind');
    return undefined;
  }
}

function messageOf(job: Job, to: string, receipt: boolean): SmppMessage {
  const { messageId, sender, expiresMs } = job;
  return {
    from: sender ?? '',
    to,
    content: contentOf(job.payload),
    receipt,
    validityMs: expiresMs === undefined ? null : Math.max(1_000, expiresMs - Date.now()),
    priority: 0,
    // The same for every attempt: a phone that has parts of an earlier one joins them.
    reference: Number.parseInt(messageId.slice(-2), 16),
  };
}

function contentOf(payload: Uint8Array): string | Uint8Array {
  try {
    return utf8.decode(payload);
  } catch {
    return payload;
  }
}

function resultOf(submitted: SubmitResult): Result {
  switch (submitted.outcome) {
    case 'sent':
      return { kind: 'sent', ids: submitted.ids.filter((id) => id !== '') };
    case 'throttled': {
      const { retryAfterMs, code, ids } = submitted;
      // Some of it is out: it was an attempt, and the next one sends all of it again.
      return { kind: ids.length > 0 ? 'retry' : 'throttled', retryAfterMs, code };
    }
    case 'retry':
      return { kind: 'retry', code: submitted.code ?? undefined };
    case 'failed':
      return { kind: 'failed', code: submitted.code };
    case 'notAttempted':
      return NOT_ATTEMPTED;
    case 'doubt':
      return { kind: 'doubt' };
  }
}

function reasonOf(submitted: SubmitResult): string {
  const code = 'code' in submitted && submitted.code !== null ? submitted.code : undefined;
  const status = code === undefined ? '' : ` (command_status 0x${code.toString(16)})`;
  return `a message ended as ${submitted.outcome}${status}`;
}
