/** `npm run bench`: measures and prints one row after another. What the rows say: README.md. */
import { measureCore } from './core.ts';
import { measureRow, type Pace } from './dispatch.ts';
import { dispatchRows } from './dispatch-rows.ts';
import { measureGate } from './gate/rows.ts';
import { measureGateways } from './gateways/rows.ts';
import { measureGenerator } from './generator-cost.ts';
import { hostRow } from './host.ts';
import { measureLife } from './life.ts';
import { type BenchOptions, parseOptions, type Scope, USAGE, UsageError } from './options.ts';
import { formatRow, type Row } from './report.ts';
import { measureRestart } from './restart.ts';
import { measureUsage, QUICK_USAGE_SIZES, USAGE_SIZES } from './usage/rows.ts';

async function* rowsOf(scope: Scope, options: BenchOptions): AsyncGenerator<Row, void> {
  const { quick, filter, rounds, warmUpMs, measureMs, generators } = options;
  const pace: Pace = { rounds, warmUpMs, measureMs, generators };
  switch (scope) {
    case 'core':
      yield* measureCore({ quick, filter });
      return;
    case 'generator':
      for (const row of dispatchRows({ quick, filter })) {
        if (row.durability === 'flushed') yield await measureGenerator(row, pace);
      }
      return;
    case 'dispatch':
      for (const row of dispatchRows({ quick, filter })) yield* measureRow(row, pace);
      return;
    case 'restart':
      yield await measureRestart(options.messages);
      return;
    case 'life':
      yield* measureLife({ messages: options.messages, rounds, filter });
      return;
    case 'gateways':
      yield* measureGateways({ quick, messages: options.messages, rounds, filter });
      return;
    case 'gate':
      yield* measureGate({ quick, pace, filter });
      return;
    case 'usage':
      yield* measureUsage({ sizes: quick ? QUICK_USAGE_SIZES : USAGE_SIZES, pace, filter });
      return;
  }
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(USAGE);
    return;
  }
  const print = (row: Row): void => {
    console.log(options.json ? JSON.stringify(row) : formatRow(row));
  };
  print(hostRow());
  for (const scope of options.scopes) {
    for await (const row of rowsOf(scope, options)) print(row);
  }
}

main().catch((error: unknown) => {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${USAGE}`);
  else console.error(error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
