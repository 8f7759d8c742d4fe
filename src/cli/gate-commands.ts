// The commands of the gate with their flags and help.
import { type Command, Option } from 'commander';
import { count, examples, paged, remote } from './command-flags.ts';

const load = () => import('./gate.ts');

export function addGateCommands(program: Command): void {
  const group = program
    .command('gate')
    .description('show who uses which resource, who waits, and why');

  remote(group.command('status'))
    .description('show how many permits are out, how many wait, and what became of the others')
    .action(async (options) => (await load()).showGate(options));

  paged(remote(group.command('ls')))
    .alias('list')
    .description('list what is counted now, by resource and tenant')
    .option('--resource <name>', 'of this resource only')
    .option('--tenant <name>', 'of this tenant only; an empty one is the platform')
    .addHelpText('after', examples(['fairlead gate ls --resource calls.create']))
    .action(async (options) => (await load()).listKeys(options));

  remote(group.command('explain'))
    .description('show why a tenant may pass at a resource now, or why not')
    .argument('<key>', 'resource/tenant; without a tenant it is the platform')
    .addHelpText('after', examples(['fairlead gate explain calls.create/acme']))
    .action(async (key, options) => (await load()).explainKey(key, options));

  remote(group.command('top'))
    .description('show the fullest keys; on a terminal again and again, until Ctrl-C')
    .addOption(
      new Option('--by <what>', 'what they have most of')
        .choices(['used', 'waiting', 'granted', 'impeded'])
        .default('used'),
    )
    .option('--limit <n>', 'rows', count, 20)
    .option('--every <ms>', 'pause between two looks', count, 1_000)
    .option('--once', 'look once, also on a terminal')
    .addHelpText('after', examples(['fairlead gate top --by waiting', 'fairlead gate top --json']))
    .action(async (options) => (await load()).showTop(options));
}
