/** The commands about webhooks and callbacks that are sent, with their flags and help. */
import { type Command, Option } from 'commander';
import { examples, paged, remote } from './command-flags.ts';

const URL_SHOWN = 'https://example.com/hook';

export function addWebhookCommands(program: Command): void {
  const group = program
    .command('webhook')
    .description('test endpoints; list, send again and enable webhooks and callbacks');
  const load = () => import('./webhooks.ts');

  remote(group.command('test'))
    .description('send a signed test to a URL now, and show what came of it')
    .argument('<target>', 'URL that the test goes to')
    .requiredOption('--tenant <name>', 'tenant whose key signs it')
    .addHelpText('after', examples([`fairlead webhook test ${URL_SHOWN} --tenant acme`]))
    .action(async (target, options) => (await load()).testWebhook(target, options));

  paged(remote(group.command('ls')))
    .alias('list')
    .description('list endpoints: what waits for them, and how they do')
    .action(async (options) => (await load()).listEndpoints(options));

  paged(remote(group.command('items')))
    .description('list what waits or has failed, oldest first')
    .option('--endpoint <url>', 'of this endpoint')
    .addOption(new Option('--state <state>', 'in this state').choices(['waiting', 'failed']))
    .addHelpText('after', examples(['fairlead webhook items --state failed']))
    .action(async (options) => (await load()).listItems(options));

  remote(group.command('replay'))
    .description('send again what has failed: by id, or all of an endpoint')
    .argument('[ids...]')
    .option('--endpoint <url>', 'all of this endpoint')
    .addHelpText('after', examples([`fairlead webhook replay --endpoint ${URL_SHOWN}`]))
    .action(async (ids, options) => (await load()).replayWebhooks(ids, options));

  remote(group.command('enable'))
    .description('enable an endpoint that answered 410')
    .argument('<endpoint>', 'its URL')
    .addHelpText('after', examples([`fairlead webhook enable ${URL_SHOWN}`]))
    .action(async (endpoint, options) => (await load()).enableEndpoint(endpoint, options));
}
