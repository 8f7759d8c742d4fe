// A daemon with two accounts and a gateway, and what tests of the account form ask of it.
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { MessageApi } from '../support/message-api.ts';

export interface TestAccount {
  readonly sid: string;
  readonly token: string;
  readonly secondaryToken: string;
}

export const hexSid = (prefix: string): string => prefix + randomBytes(16).toString('hex');

/** Takes requests of the account form. */
export class AccountApi {
  readonly api: MessageApi;
  readonly acme: TestAccount;
  readonly other: TestAccount;
  /** Of acme, with the senders 4930 and ACME. */
  readonly service: string;

  private constructor(api: MessageApi, acme: TestAccount, other: TestAccount, service: string) {
    this.api = api;
    this.acme = acme;
    this.other = other;
    this.service = service;
  }

  /** Numbers that begin with +49 and +1 have a route, both to the destination `sms`. */
  static async start(t: Test, options: object = {}): Promise<AccountApi> {
    const api = await MessageApi.start(t, { durability: 'memory', ...options });
    await api.call('PUT /v1/destinations/sms', {});
    await api.call('PUT /v1/routes/49', { destination: 'sms' });
    await api.call('PUT /v1/routes/1', { destination: 'sms' });
    const account = async (tenant: string): Promise<TestAccount> => {
      const sid = hexSid('AC');
      const body = { tenant, friendlyName: `${tenant} Ltd` };
      const { body: made } = await api.call(`PUT /v1/accounts/${sid}`, body);
      return { sid, token: made.primaryToken, secondaryToken: made.secondaryToken };
    };
    const service = hexSid('MG');
    const senders = ['4930', 'ACME'];
    await api.call(`PUT /v1/services/${service}`, { tenant: 'acme', senders });
    return new AccountApi(api, await account('acme'), await account('other'), service);
  }

  get url(): string {
    return this.api.url;
  }

  /** `call('POST Messages.json', {To: …})`, below acme's account unless said otherwise. */
  async call(
    line: string,
    form?: Readonly<Record<string, string>>,
    {
      account = this.acme,
      sid = account.sid,
      headers = {},
    }: { account?: { sid: string; token: string }; sid?: string; headers?: object } = {},
  ) {
    const [method = '', path = ''] = line.split(' ');
    const credentials = Buffer.from(`${account.sid}:${account.token}`).toString('base64');
    const answer = await fetch(
      `${this.url}/2010-04-01/Accounts/${sid}${path === '' ? '.json' : `/${path}`}`,
      {
        method,
        headers: { authorization: `Basic ${credentials}`, ...headers },
        ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
      },
    );
    const text = await answer.text();
    const body = text === '' ? undefined : JSON.parse(text);
    return { status: answer.status, code: body?.code, body, headers: answer.headers };
  }

  /** Sends one message; returns its sid. @throws Error when it is refused */
  async send(form: Readonly<Record<string, string>> = {}): Promise<string> {
    const message = { To: '+4915112345678', From: '+49301234567', Body: 'hello', ...form };
    const { status, body } = await this.call('POST Messages.json', message);
    if (status === 201) return body.sid;
    throw new Error(JSON.stringify(body));
  }
}
