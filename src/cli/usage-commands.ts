// The commands of usage and of triggers with their flags and help.
import { type Command, Option } from 'commander';
import { examples, paged, remote } from './command-flags.ts';

const load = () => import('./usage.ts');
const loadTriggers = () => import('./triggers.ts');
const collect = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  text,
];
const MEASURES = ['count', 'usage', 'price'];
const RECURRING = ['none', 'daily', 'monthly', 'yearly', 'alltime'];

export function addUsageCommands(program: Command): void {
  const group = program.command('usage').description('show what was counted, count events');

  paged(remote(group.command('records')))
    .description('show what was counted, by tenant, category and period')
    .option('--tenant <name>', 'of this tenant only')
    .option('--category <name>', 'of this category only')
    .addOption(
      new Option('--period <period>', 'a row for each')
        .choices(['total', 'daily', 'monthly', 'yearly', 'alltime'])
        .default('total'),
    )
    .option('--from <day>', 'first day of UTC, such as 2026-11-01')
    .option('--to <day>', 'last day')
    .option('--tag <tag>', 'of this tag only')
    .option('--tags', 'each tag as a row of its own, too')
    .option('--sub-accounts', 'with tenants below the tenant')
    .option('--csv', 'print CSV')
    .addHelpText(
      'after',
      examples([
        'fairlead usage records --tenant acme --period monthly',
        'fairlead usage records --category messages --from 2026-11-01 --to 2026-11-30 --csv',
      ]),
    )
    .action(async (options) => (await load()).showRecords(options));

  paged(remote(group.command('ledger')))
    .description('show the lines that triggers added, by tenant and time')
    .option('--tenant <name>', 'of this tenant only')
    .option('--from <day>', 'first day of UTC, such as 2026-11-01')
    .option('--to <day>', 'last day')
    .action(async (options) => (await load()).showLedger(options));

  remote(group.command('send'))
    .description('count one event')
    .argument('<category>', 'a name of a-z 0-9 . _ -')
    .argument('<quantity>', 'a whole number; after --, a negative one: a correction')
    .option('--tenant <name>', 'whose; default: that of the token')
    .option('--key <key>', 'the event counts once')
    .option('--at <time>', 'when it was, such as 2026-11-22T10:00:00Z')
    .option('--tag <tag>', 'counted on its own, too')
    .option('--count <n>', 'how many events it stands for (1)')
    .addHelpText('after', examples(['fairlead usage send pages 12 --tenant acme --key job-1']))
    .action(async (category, quantity, options) =>
      (await load()).sendEvent(category, quantity, options),
    );

  remote(group.command('stats'))
    .description('show how many counters, triggers and keys of events there are')
    .action(async (options) => (await load()).showUsage(options));

  addTriggerCommands(program);
}

function addTriggerCommands(program: Command): void {
  const group = program
    .command('trigger')
    .description('what is done when a counter reaches a value');

  paged(remote(group.command('ls')))
    .alias('list')
    .description('list triggers in the order in which they were made')
    .option('--tenant <name>', 'of this tenant only')
    .option('--category <name>', 'of this category only')
    .addOption(new Option('--recurring <period>', 'that recur so').choices(RECURRING))
    .addOption(new Option('--by <what>', 'by this only').choices(MEASURES))
    .action(async (options) => (await loadTriggers()).listTriggers(options));

  remote(group.command('show'))
    .description('show one trigger, with what its counter says now')
    .argument('<sid>')
    .action(async (sid, options) => (await loadTriggers()).showTrigger(sid, options));

  remote(group.command('put'))
    .description('make a trigger; with a sid, replace it: what is not named gets its default')
    .argument('[sid]')
    .option('--tenant <name>', 'whose usage is looked at')
    .option('--category <name>', 'what is counted')
    .option('--tag <tag>', 'of this tag only')
    .addOption(new Option('--by <what>', 'what of the counter').choices(MEASURES))
    .option('--value <n>', 'fires at this; with a + at so much more than now')
    .addOption(new Option('--recurring <period>', 'once each').choices(RECURRING))
    .option('--callback <url>', 'told; up to five', collect)
    .addOption(new Option('--form <form>', 'of the callbacks').choices(['standard', 'form']))
    .option(
      '--action <action>',
      'pause, refuse, event, ledger, ledger=N, capRate=N or capConcurrency=N',
    )
    .option('--name <text>', 'for people')
    .option('--json-body <json>', 'fields as a JSON object; - reads it from standard input')
    .addHelpText(
      'after',
      examples([
        'fairlead trigger put --tenant acme --category messages --by price --value 100 --recurring monthly --action pause',
        'fairlead trigger put --tenant acme --category pages --value +1000 --callback https://acme.example/usage',
      ]),
    )
    .action(async (sid, options) => (await loadTriggers()).putTrigger(sid, options));

  remote(group.command('rm'))
    .description('delete a trigger; what it did to its tenant is undone')
    .argument('<sid>')
    .action(async (sid, options) => (await loadTriggers()).removeTrigger(sid, options));

  remote(group.command('rearm'))
    .description('let a trigger fire again in this period, and undo what it did to its tenant')
    .argument('<sid>')
    .action(async (sid, options) => (await loadTriggers()).rearmTrigger(sid, options));
}
