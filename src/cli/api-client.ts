// The REST API as the commands use it: one request, its JSON answer, failures with what to do.
import { CliError, EXIT, type ExitCode } from './cli-error.ts';

export const URL_DEFAULT = 'http://127.0.0.1:7600';
const TIMEOUT_MS = 30_000;

/** Where the daemon is and who asks; flags win over FAIRLEAD_URL and FAIRLEAD_TOKEN. */
export interface RemoteOptions {
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
}

export interface ApiRequest {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Segments, encoded here. */
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export class ApiClient {
  readonly url: string;
  readonly token: string;

  constructor(options: RemoteOptions, env: NodeJS.ProcessEnv = process.env) {
    const url = options.url ?? env.FAIRLEAD_URL ?? URL_DEFAULT;
    this.url = url.replace(/\/+$/, '');
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
      throw new CliError(EXIT.usage, `The URL ${JSON.stringify(url)} is not an http(s) URL.`, {
        hint: `Give one with --url or FAIRLEAD_URL, such as ${URL_DEFAULT}.`,
      });
    }
    const token = options.token ?? env.FAIRLEAD_TOKEN;
    if (token === undefined || token === '') {
      throw new CliError(EXIT.noPermission, 'No token was given.', {
        hint: 'Give one with --token or FAIRLEAD_TOKEN; `fairlead dev` prints one, `fairlead token issue` makes one.',
      });
    }
    this.token = token;
  }

  /** @returns the JSON answer; an empty object when there is none. @throws CliError */
  async request(request: ApiRequest): Promise<JsonObject> {
    const { method = 'GET', path, query = {}, body, timeoutMs = TIMEOUT_MS } = request;
    const url = new URL(`${this.url}/${path.map(encodeURIComponent).join('/')}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const headers: Record<string, string> = { authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const response = await this.#fetch(url, {
      method,
      headers,
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = parseObject(text);
    if (!response.ok) throw refusalOf(response.status, answer, text);
    return answer;
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, init);
    } catch (error) {
      throw unreachable(this.url, error);
    }
  }
}

/** The daemon did not answer. */
export function unreachable(url: string, error: unknown): CliError {
  const cause = (error as { cause?: unknown }).cause ?? error;
  const why = (cause as Error).message || (cause as { code?: string }).code || String(cause);
  return new CliError(EXIT.unavailable, `The daemon at ${url} cannot be reached: ${why}.`, {
    hint: 'Is it running (`fairlead serve`, `fairlead dev`), and is --url or FAIRLEAD_URL right?',
  });
}

function parseObject(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as JsonObject) : {};
  } catch {
    return {};
  }
}

function refusalOf(status: number, answer: JsonObject, text: string): CliError {
  const { code, message, details } = answer;
  const sentence = typeof message === 'string' ? message : text.slice(0, 200);
  const numbers = typeof code === 'number' ? `${status}, code ${code}` : `${status}`;
  const { retryAfterMs } = (details ?? {}) as { retryAfterMs?: unknown };
  return new CliError(
    exitCodeOf(status, code),
    `${sentence || 'The daemon refused.'} (${numbers})`,
    {
      hint: hintOf(status, code, retryAfterMs),
      answer: Object.keys(answer).length === 0 ? undefined : answer,
    },
  );
}

function exitCodeOf(status: number, code: unknown): ExitCode {
  if (code === MESSAGE_ENDED) return EXIT.data;
  if (status === 401 || status === 403) return EXIT.noPermission;
  if (status === 409 || status === 429 || status === 503 || status === 507) return EXIT.temporary;
  return status >= 500 ? EXIT.internal : EXIT.data;
}

const MESSAGE_ENDED = 3020;
/** What to do about errors by their number. */
const HINTS: Readonly<Record<number, string>> = {
  3001: 'Make it with `fairlead destination put NAME`; `fairlead destination ls` shows those there are.',
  3016: 'The name is the daemon’s own: `get` shows it, `put` changes it.',
  3019: 'Ended messages are remembered for dispatch.retentionMs only; `fairlead message list` shows them.',
  [MESSAGE_ENDED]: '`fairlead message get ID` shows how it ended.',
  3021: 'A gateway has it: ask again when this attempt has ended.',
  3022: '`fairlead resume` takes new work again.',
  4001: 'Make it with `fairlead resource put NAME`; `fairlead resource ls` shows those there are.',
  3027: 'Cancel it with `fairlead message cancel ID`, or wait until it has ended.',
};

function hintOf(status: number, code: unknown, retryAfterMs: unknown): string | undefined {
  const hint = HINTS[Number(code)];
  if (hint !== undefined) return hint;
  if (typeof retryAfterMs === 'number') return `Try again in ${retryAfterMs / 1000} s.`;
  if (status === 401) return 'Issue a new one: `fairlead token issue --scope platform`.';
  if (status === 403) return 'This needs a token with the scope platform.';
  if (status === 409) return 'Wait until its work is done, or move what refers to it.';
  return status === 503 ? 'Try again in a moment.' : undefined;
}
