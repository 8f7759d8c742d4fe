// `fairlead demo`: one tenant floods a destination, and the others do not notice.
import { parseArgs } from 'node:util';
import { drawShares, drawSummary } from './picture.ts';
import { makePlan } from './plan.ts';
import { missesOf, reportOf } from './report.ts';
import { backloggedExpected, DemoRun } from './run.ts';

const MESSAGES_DEFAULT = 60_000;
const MESSAGES_MIN = 2000;
const MESSAGES_MAX = 2_000_000;
const SECONDS_DEFAULT = 8;

const HELP = `fairlead demo: shows that a flood by one tenant does not hurt the others

A real daemon is started in a temporary folder, with a destination of limited rate, 20 tenants in
3 weighted sets, and clients in processes of their own. First all tenants stay below the limit;
then one publishes 100 times its usual rate and some others more than their share. What each was
owed, got and waited for is counted by the clients, from outside.

  --messages N   messages in all (default ${MESSAGES_DEFAULT}); the rate of the destination follows from it
  --seconds S    length of the measured window under the flood (default ${SECONDS_DEFAULT})
  --json         progress on standard error, the result as one line of JSON
  --help         this text

Exit code 0 if nothing was lost or doubled, every share was right (Jain's index ≥ 0.995, each
backlogged tenant within 2 %) and quiet tenants' p99 wait stayed ≤ 1.5 × that without the flood
+ 3 message times; else 1.`;

/** Runs the demo with its own flags and returns the exit code. */
export async function runDemo(argv: string[]): Promise<number> {
  const flags = readFlags(argv);
  if (typeof flags === 'string') {
    process.stderr.write(`${flags}\n`);
    return 2;
  }
  if (flags.help) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const plan = makePlan(flags.messages, flags.seconds);
  const notes = flags.json ? process.stderr : process.stdout;
  notes.write(
    `${flags.messages} messages, ${plan.ratePerSec} a second at most, 20 tenants in 3 sets\n`,
  );
  const demo = new DemoRun(plan, notes);
  try {
    const run = await demo.run();
    const report = reportOf(run);
    const misses = missesOf(report, backloggedExpected());
    notes.write(`\n${drawShares(run.flood)}\n\n${drawSummary(report)}\n`);
    for (const miss of misses) notes.write(`MISSED: ${miss}\n`);
    if (flags.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    return misses.length === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`The demo failed: ${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

interface Flags {
  readonly json: boolean;
  readonly help: boolean;
  readonly messages: number;
  readonly seconds: number;
}

/** The flags, or what is wrong with them. */
function readFlags(argv: string[]): Flags | string {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        messages: { type: 'string', default: String(MESSAGES_DEFAULT) },
        seconds: { type: 'string', default: String(SECONDS_DEFAULT) },
      },
    });
    const messages = Number(values.messages);
    const seconds = Number(values.seconds);
    if (!(Number.isInteger(messages) && messages >= MESSAGES_MIN && messages <= MESSAGES_MAX)) {
      return `--messages takes a whole number from ${MESSAGES_MIN} to ${MESSAGES_MAX}; it was ${values.messages}`;
    }
    if (!(seconds >= 1 && seconds <= 600)) {
      return `--seconds takes a number from 1 to 600; it was ${values.seconds}`;
    }
    return { json: values.json, help: values.help, messages, seconds };
  } catch (error) {
    return `${error instanceof Error ? error.message : error}\nfairlead demo --help lists the flags`;
  }
}
