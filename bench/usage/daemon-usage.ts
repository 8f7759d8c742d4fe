/** A daemon of one usage row: started, looked at, killed and started again on the same data and port. */
import { Agent, request } from 'node:http';
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import type { Observer } from '../dispatch.ts';
import { freePort, untilReady } from '../restart.ts';
import type { FrameSum } from './load/use-frames.ts';

export interface UsageRow {
  readonly account: string;
  readonly category: string;
  readonly count: number;
  readonly usage: number;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly cursor: string | null;
}

export interface NewTrigger {
  readonly tenant: string;
  readonly category: string;
  readonly by: 'count' | 'usage';
  readonly value: number;
  readonly step?: number;
  readonly callbacks?: readonly { readonly url: string }[];
}

interface ShownTrigger {
  readonly currentValue: string;
  readonly firings: number;
}

const PAGE_ITEMS = 1000;
/** Requests under way where many are made. */
const REQUESTS = 32;

export class UsageDaemon {
  process: DaemonProcess;
  readonly dataDir: string;
  readonly #port: number;
  readonly #settings: readonly string[];
  readonly #nodeArgs: readonly string[];

  static async start(
    settings: readonly string[] = [],
    nodeArgs: Observer['nodeArgs'] = [],
  ): Promise<UsageDaemon> {
    const dataDir = makeDataDirectory();
    const port = await freePort();
    const process = await startOn({ dataDir, port, settings, nodeArgs });
    return new UsageDaemon(process, { dataDir, port, settings, nodeArgs });
  }

  private constructor(process: DaemonProcess, options: StartOptions) {
    this.process = process;
    this.dataDir = options.dataDir;
    this.#port = options.port;
    this.#settings = options.settings;
    this.#nodeArgs = options.nodeArgs;
  }

  get target(): { readonly url: string; readonly token: string } {
    const { url, token } = this.process;
    return { url, token };
  }

  /** After kill -9. @returns seconds from the start of the process until it serves */
  async restart(): Promise<number> {
    await this.process.kill();
    const startMs = performance.now();
    const starting = startOn({
      dataDir: this.dataDir,
      port: this.#port,
      settings: this.#settings,
      nodeArgs: this.#nodeArgs,
    });
    await untilReady(this.process.url);
    const readySec = (performance.now() - startMs) / 1000;
    this.process = await starting;
    return readySec;
  }

  /** Rows of all time, of one tenant or of all. */
  async records(query: string): Promise<readonly UsageRow[]> {
    const rows: UsageRow[] = [];
    let cursor: string | null = null;
    do {
      const from: string = cursor === null ? '' : `&cursor=${cursor}`;
      const path = `/v1/usage/records?period=alltime&limit=${PAGE_ITEMS}&${query}${from}`;
      const page = (await this.process.ask('GET', path)) as Page<UsageRow>;
      rows.push(...page.items);
      cursor = page.cursor;
    } while (cursor !== null);
    return rows;
  }

  /** @throws Error when the records are not `frames` times the sums of one */
  async checkRecords(sums: readonly FrameSum[], frames: number): Promise<void> {
    const rows = await this.records('');
    const found = new Map(rows.map((row) => [`${row.account}/${row.category}`, row]));
    if (found.size !== sums.length) {
      throw new Error(`${found.size} counters were read, ${sums.length} counted`);
    }
    for (const { tenant, category, count, usage } of sums) {
      const row = found.get(`${tenant}/${category}`);
      if (row?.count !== count * frames || row.usage !== usage * frames) {
        const wanted = `${count * frames} and ${usage * frames}`;
        throw new Error(`${tenant} ${category} is ${row?.count} and ${row?.usage}, not ${wanted}`);
      }
    }
  }

  /** Makes triggers, several at a time. @returns their sids, in order */
  async makeTriggers(triggers: readonly NewTrigger[]): Promise<readonly string[]> {
    const agent = new Agent({ keepAlive: true, maxSockets: REQUESTS });
    const sids: string[] = [];
    let next = 0;
    const one = async (): Promise<void> => {
      for (let at = next; at < triggers.length; at = next) {
        next += 1;
        sids[at] = (await this.#make(agent, triggers[at] as NewTrigger)).sid;
      }
    };
    await Promise.all(Array.from({ length: REQUESTS }, one));
    agent.destroy();
    return sids;
  }

  /** What a trigger's counter says now. */
  async currentValue(sid: string): Promise<number> {
    return Number((await this.#trigger(sid)).currentValue);
  }

  async firingsOf(sid: string): Promise<number> {
    return (await this.#trigger(sid)).firings;
  }

  /** What the daemon tells of usage. */
  async stats(): Promise<Readonly<Record<string, number>>> {
    const status = await this.process.ask('GET', '/v1/status');
    return (status as { usage: Readonly<Record<string, number>> }).usage;
  }

  async end(): Promise<void> {
    await this.process.kill();
    removeDataDirectory(this.dataDir);
  }

  /** With a third of the processor time that `fetch` takes. */
  #make(agent: Agent, trigger: NewTrigger): Promise<{ readonly sid: string }> {
    const { url, token } = this.process;
    const body = JSON.stringify(trigger);
    const headers = { authorization: `Bearer ${token}`, 'content-length': body.length };
    return new Promise((resolve, reject) => {
      const options = { method: 'POST', agent, headers };
      const sent = request(`${url}/v1/triggers`, options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          if (response.statusCode === 201) resolve(JSON.parse(text) as { readonly sid: string });
          else reject(new Error(`a trigger was answered ${response.statusCode} ${text}`));
        });
      });
      sent.on('error', reject).end(body);
    });
  }

  async #trigger(sid: string): Promise<ShownTrigger> {
    return (await this.process.ask('GET', `/v1/triggers/${sid}`)) as ShownTrigger;
  }
}

interface StartOptions {
  readonly dataDir: string;
  readonly port: number;
  readonly settings: readonly string[];
  readonly nodeArgs: readonly string[];
}

async function startOn(options: StartOptions): Promise<DaemonProcess> {
  return await DaemonProcess.start({ durability: 'flushed', ...options });
}
