/**
 * All commands with their flags and help. A command's code is loaded when it runs, so that --help
 * and --version stay fast.
 */
import { Command, Option } from 'commander';
import { count, examples, paged, remote } from './command-flags.ts';
import { type EntityWord, fieldsOf, PAIR_WORDS, pluralOf } from './entity-fields.ts';
import { addGateCommands } from './gate-commands.ts';
import { addDeadLetterCommands, addEraseCommand, addMessageCommands } from './message-commands.ts';
import { addMessageFlags } from './message-flags.ts';
import { addUsageCommands } from './usage-commands.ts';
import { addWebhookCommands } from './webhook-commands.ts';

const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];

export function buildProgram(version: string): Command {
  const program = new Command('fairlead')
    .description('Durable dispatcher for communications platforms.')
    .version(version)
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for what it takes)')
    .exitOverride();
  addDaemonCommands(program);
  addOperatorCommands(program);
  addMessageCommands(program);
  addDeadLetterCommands(program);
  addWebhookCommands(program);
  addClientCommands(program);
  program
    .command('demo')
    .description('show fair dispatch on this machine, from nothing to a report')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[args...]')
    .action(async (args: string[]) => {
      const { runDemo } = await import('./demo/index.ts');
      process.exitCode = await runDemo(args);
    });
  program.addHelpText(
    'after',
    examples([
      'fairlead dev',
      'fairlead destination put sms-de --rate-per-sec 100',
      'fairlead publish sms-de hello --tenant acme --sender 4930',
    ]),
  );
  return program;
}

function addDaemonCommands(program: Command): void {
  configFlags(program.command('serve'))
    .description('run the daemon')
    .addHelpText(
      'after',
      examples(['fairlead serve --config fairlead.toml', 'fairlead serve --set log.level=debug']),
    )
    .action(async (flags) => (await import('./serve.ts')).serve(flags));

  configFlags(program.command('dev'), { json: true })
    .description('run a daemon to try things out: throw-away data, its own key and token')
    .option('--keep', 'keep the data; with --data, go on with what is there')
    .addHelpText(
      'after',
      examples([
        'fairlead dev',
        'fairlead dev --port 7600 --data ./data --keep',
        'fairlead dev --json   # one line: url, token, dataDir, pid',
      ]),
    )
    .action(async (flags) => (await import('./dev.ts')).dev(flags));

  configFlags(program.command('check-config'), { json: true })
    .description('print each option, its value and where it came from')
    .addHelpText('after', examples(['fairlead check-config --config fairlead.toml']))
    .action(async (flags) => (await import('./check-config.ts')).checkConfig(flags));

  const token = program.command('token').description('tokens for clients and operators');
  configFlags(token.command('issue'), { json: true })
    .description('print a token signed with the newest key of the configuration')
    .option('--tenant <name>', 'a tenant’s own token, which can only publish and use the gate')
    .option('--subject <who>', 'who it is for: the actor in `fairlead audit`')
    .option(
      '--scope <scopes>',
      'publish, consume, gate, usage, platform, or receive of a tenant; separated by spaces',
    )
    .option('--ttl <duration>', 'how long it is good: 90s, 15m, 12h, 30d', '12h')
    .option('--key <id>', 'sign with this key')
    .option('--key-file <file>', 'sign with the secret in this file, named by --key')
    .addHelpText(
      'after',
      examples([
        'fairlead token issue --tenant acme --ttl 30d',
        'fairlead token issue --scope "consume platform" --config fairlead.toml',
      ]),
    )
    .action(async (flags) => (await import('./token.ts')).issueToken(flags));
}

function addOperatorCommands(program: Command): void {
  addEntityCommands(program, 'destination', 'sms-de --rate-per-sec 100 --burst 10');
  addEntityCommands(program, 'set', 'gold --weight 900');
  addEraseCommand(addEntityCommands(program, 'tenant', 'acme --set gold'));
  addEntityCommands(program, 'sender', 'acme/4930 --pool campaign');
  addEntityCommands(program, 'pool', 'campaign --rate-per-sec 50');
  addConnectionCommands(program);
  addEntityCommands(program, 'resource', 'calls.create --limit 500 --tenant-limit 20 --mode queue');
  addEntityCommands(program, 'policy', 'calls.create/acme --limit 50 --floor 5');
  addGateCommands(program);
  addEntityCommands(program, 'price', 'messages --by usage --steps 0.0075');
  addEntityCommands(program, 'cap', 'acme/monthly --value 100');
  addUsageCommands(program);
  addStateCommands(program);

  remote(program.command('apply'))
    .description('bring all entities to what a TOML or JSON file says; shows the difference first')
    .argument(
      '<file>',
      'tables [destinations.NAME], [sets.NAME], …; - reads JSON from standard input',
    )
    .option('--dry-run', 'only show the difference')
    .option('--prune', 'delete what the file does not have')
    .addHelpText(
      'after',
      examples(['fairlead apply entities.toml --dry-run', 'fairlead apply entities.toml --prune']),
    )
    .action(async (file, options) => (await import('./apply.ts')).applyFile(file, options));

  paged(remote(program.command('audit')))
    .description('show who changed which entity, newest first')
    .option('--kind <kind>', 'destination, set, tenant, sender, pool, gateway, account, …')
    .option(
      '--name <name>',
      'of the entity; a sender’s is tenant/sender, a policy’s resource/tenant',
    )
    .addHelpText('after', examples(['fairlead audit --kind tenant --name acme']))
    .action(async (options) => (await import('./audit.ts')).showAudit(options));

  paged(remote(program.command('explain')))
    .description('show the queues of a destination and why the last ones were picked')
    .argument('<destination>')
    .action(async (name, options) =>
      (await import('./explain.ts')).explainDestination(name, options),
    );

  program
    .command('shuffle-odds')
    .description('how likely noisy tenants share every slot of another one’s hand (policy shuffle)')
    .argument('<slots>', 'of the set: 2 to 4096')
    .argument('<hand>', 'slots of one tenant: 1 to 16')
    .argument('<noisy>', 'tenants that send too much at once')
    .option('--json', 'print JSON')
    .addHelpText('after', examples(['fairlead shuffle-odds 64 4 10']))
    .action(async (slots, hand, noisy, options) =>
      (await import('./shuffle-odds.ts')).printShuffleOdds([slots, hand, noisy], options),
    );

  remote(program.command('status'))
    .description('show how the daemon is')
    .action(async (options) => (await import('./status.ts')).showStatus(options));
}

function addStateCommands(program: Command): void {
  const kinds = 'destination, set, tenant, sender';
  for (const [verb, meaning] of [
    ['pause', 'stop sending; new work is still taken'],
    ['resume', 'send and take new work again'],
    ['drain', 'refuse new work and send what waits'],
  ] as const) {
    remote(program.command(verb))
      .description(meaning)
      .argument('<kind>', verb === 'drain' ? kinds : `${kinds} or gateway`)
      .argument('<name>', 'its name; a sender’s is tenant/sender')
      .addHelpText(
        'after',
        examples([`fairlead ${verb} destination sms-de`, `fairlead ${verb} sender acme/4930`]),
      )
      .action(async (kind, name, options) =>
        (await import('./entities.ts')).changeState(verb, kind, name, options),
      );
  }
}

/** What leads messages to carriers and applications, and back. */
function addConnectionCommands(program: Command): void {
  const smpp = '{"smpp":{"host":"smpp.example.com","port":2775,"systemId":"me","password":"a"}}';
  const gateway = addEntityCommands(
    program,
    'gateway',
    `carrier-a --type smpp --destinations sms-de --json-body '${smpp}'`,
  ).alias('gateways');
  remote(gateway.command('state'))
    .description('show how one gateway is, and what became of its messages')
    .argument('<name>')
    .action(async (name, options) =>
      (await import('./gateways.ts')).showGatewayState(name, options),
    );
  const sid = 'AC00112233445566778899aabbccddeeff';
  const account = addEntityCommands(program, 'account', `${sid} --tenant acme`);
  remote(account.command('rotate-tokens'))
    .description('make a new primary token; the one before is the secondary token')
    .argument('<name>')
    .action(async (name, options) => (await import('./entities.ts')).rotateTokens(name, options));
  addEntityCommands(program, 'number', '+4930123456 --tenant acme --destination replies');
  addEntityCommands(program, 'route', '49 --destination sms-de');
  const service = 'MG00112233445566778899aabbccddeeff --tenant acme --senders 4930,4931';
  addEntityCommands(program, 'service', service);
}

function addEntityCommands(program: Command, word: EntityWord, example: string): Command {
  const group = program.command(word).description(`list, show, make and delete ${pluralOf(word)}`);
  const load = () => import('./entities.ts');
  const [nameForm] = PAIR_WORDS[word] ?? [''];

  paged(remote(group.command('ls')))
    .alias('list')
    .description(word === 'gateway' ? 'list gateways with how they are' : `list ${pluralOf(word)}`)
    .action(async (options) => {
      if (word === 'gateway') await (await import('./gateways.ts')).listGateways(options);
      else await (await load()).listEntities(word, options);
    });

  remote(group.command('get'))
    .description(`show one ${word}`)
    .argument('<name>', nameForm)
    .action(async (name, options) => (await load()).getEntity(word, name, options));

  const put = remote(group.command('put'))
    .description(
      `make or replace ${article(word)} ${word}: fields that are not named get their defaults`,
    )
    .argument('<name>', nameForm)
    .option('--json-body <json>', 'fields as a JSON object; - reads it from standard input')
    .option('--keep', 'fields that are not named keep their values');
  for (const { flag, meaning } of fieldsOf(word)) put.option(flag, meaning);
  put
    .addHelpText(
      'after',
      examples([
        `fairlead ${word} put ${example}`,
        `fairlead ${word} get NAME --json | fairlead ${word} put NAME --json-body -`,
      ]),
    )
    .action(async (name, options) => (await load()).putEntity(word, name, options));

  remote(group.command('rm'))
    .alias('delete')
    .description(`delete ${article(word)} ${word}; refused while it is in use`)
    .argument('<name>', nameForm)
    .action(async (name, options) => (await load()).removeEntity(word, name, options));
  return group;
}

const article = (word: EntityWord): string => (word === 'account' ? 'an' : 'a');

function addClientCommands(program: Command): void {
  addMessageFlags(remote(program.command('publish')))
    .description('publish messages: each argument, or each line of standard input')
    .argument('<destination>')
    .argument('[payloads...]', 'without any, or -, lines are read from standard input')
    .option('--tenant <name>', 'tenant that sends; a tenant’s own token leaves it out')
    .option('--sender <name>', 'sender; its messages keep their order')
    .option('--recipient <name>', 'recipient')
    .option('--count <n>', 'publish each message this often', count, 1)
    .addOption(
      new Option('--format <format>', 'what a line is; auto: JSON if it begins with {')
        .choices(['auto', 'json', 'plain'])
        .default('auto'),
    )
    .addHelpText(
      'after',
      examples([
        'fairlead publish sms-de hello --tenant acme --sender 4930 --recipient 491511',
        'fairlead publish sms-de x --tenant acme --count 10000',
        'fairlead publish sms-de hello --tenant acme --send-at +10m --validity 1h --level 2',
        'fairlead publish sms-de < messages.jsonl   # {"tenant","sender","recipient","payload"}',
      ]),
    )
    .action(async (destination, payloads, options) => {
      await (await import('./publish.ts')).publish(destination, payloads, options);
    });

  remote(program.command('consume'))
    .description('take deliveries as a gateway, print and settle them')
    .argument('<destination>')
    .addOption(
      new Option('--settle <outcome>', 'outcome of each delivery')
        .choices(['sent', 'delivered', 'retry', 'failed', 'throttled', 'notAttempted'])
        .default('sent'),
    )
    .option('--max <n>', 'end after this many', count)
    .option('--credit <n>', 'deliveries at one time', count, 100)
    .option('--retry-after-ms <ms>', 'for retry and throttled', count, 1000)
    .addHelpText(
      'after',
      examples(['fairlead consume sms-de', 'fairlead consume sms-de --max 10 --json']),
    )
    .action(async (destination, options) => {
      await (await import('./consume.ts')).consume(destination, options);
    });
}

/** Flags of commands that read the daemon's options. */
function configFlags(command: Command, { json = false } = {}): Command {
  command
    .option('--config <file>', 'TOML file (FAIRLEAD_CONFIG, else /etc/fairlead/fairlead.toml)')
    .option('--set <key=value>', 'set one option, such as ingress.port=7601', collect, [])
    .option('--port <port>', 'short for --set ingress.port=…')
    .option('--data <dir>', 'short for --set dataDir=…');
  return json ? command.option('--json', 'print JSON') : command;
}
