// A process that puts items until it is killed. argv: directory, URL. Prints each id that was answered.
import { readdirSync } from 'node:fs';
import { ProcessClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { loadConfig } from '../../src/config/index.ts';
import { openOutbound } from '../../src/outbound/open-outbound.ts';
import { keyText } from '../../src/outbound/signatures.ts';

async function main(path: string, url: string): Promise<void> {
  const settings = [
    { key: 'outbound.allow', value: ['127.0.0.1'], from: 'test' },
    { key: 'outbound.retryMs', value: Array.from({ length: 20 }, () => 20), from: 'test' },
  ];
  const { config } = loadConfig({ file: undefined, env: {}, settings });
  const { outbox } = openOutbound({
    options: config.outbound,
    path,
    durability: 'flushed',
    keys: { standardKeys: () => [keyText(Buffer.alloc(24, 1))], formToken: () => undefined },
    clock: ProcessClock.start(),
    logger: silentLogger,
    onFatal: (error) => {
      throw error;
    },
  });
  outbox.start();
  const run = readdirSync(path).length + Date.now();
  for (let number = 0; ; number += 1) {
    const ids = Array.from({ length: 5 }, (_, at) => `r${run}-${number}-${at}`);
    await outbox.put(
      ids.map((id, at) => ({
        id,
        stream: at < 3 ? `s${at}` : null,
        url,
        method: 'POST' as const,
        contentType: 'application/json',
        body: Buffer.from(JSON.stringify({ id })),
        signing: { kind: 'standard' as const, tenant: 'acme' },
        createdMs: Date.now(),
      })),
    );
    process.stdout.write(`${ids.join('\n')}\n`);
  }
}

await main(process.argv[2] as string, process.argv[3] as string);
