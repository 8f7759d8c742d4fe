/** The commands about messages and dead letters, with their flags and help. */
import type { Command } from 'commander';
import { examples, paged, remote } from './command-flags.ts';
import { addMessageFlags, durationMs, pastMoment } from './message-flags.ts';

const ID = '00001c2f7a9be0445d0102a300000000';

export function addMessageCommands(program: Command): void {
  const group = program
    .command('message')
    .description('send, find, trace, cancel and redact messages');
  const load = () => import('./messages.ts');

  addMessageFlags(remote(group.command('send')))
    .description('send one message; `fairlead publish` is for many')
    .argument('<destination>')
    .argument('<payload>', 'text; - reads standard input, which may be bytes')
    .requiredOption('--tenant <name>', 'tenant that sends')
    .option('--sender <name>', 'sender; its messages keep their order')
    .option('--recipient <name>', 'recipient')
    .addHelpText(
      'after',
      examples([
        'fairlead message send sms-de hello --tenant acme --sender 4930 --recipient 491511',
        'fairlead message send sms-de hello --tenant acme --send-at +10m --validity 1h',
      ]),
    )
    .action(async (destination, payload, options) =>
      (await load()).sendMessage(destination, payload, options),
    );

  ofTenant(remote(group.command('get')))
    .description('show one message')
    .argument('<id>')
    .addHelpText('after', examples([`fairlead message get ${ID}`]))
    .action(async (id, options) => (await load()).getMessage(id, options));

  ofTenant(remote(group.command('trace')))
    .description('show what happened to a message, and when')
    .argument('<id>')
    .addHelpText('after', examples([`fairlead message trace ${ID}`]))
    .action(async (id, options) => (await load()).traceMessage(id, options));

  ofBoth(paged(remote(group.command('ls'))))
    .alias('list')
    .description('list messages that wait, are being sent or are still remembered')
    .option('--status <names>', 'of these statuses only: queued,failed')
    .option('--from <time>', 'accepted since: 2030-01-31T09:00:00Z, or 1h ago: 1h', pastMoment)
    .option('--to <time>', 'accepted before', pastMoment)
    .addHelpText(
      'after',
      examples([
        'fairlead message ls --tenant acme --status queued,scheduled',
        'fairlead message ls --destination sms-de --status failed --from 1h',
      ]),
    )
    .action(async (options) => (await load()).listMessages(options));

  ofBoth(remote(group.command('cancel')))
    .description('cancel messages that wait: by id, or all of a destination, tenant or sender')
    .argument('[ids...]')
    .option('--sender <name>', 'of this sender')
    .addHelpText(
      'after',
      examples([`fairlead message cancel ${ID}`, 'fairlead message cancel --tenant acme']),
    )
    .action(async (ids, options) => (await load()).cancelMessages(ids, options));

  ofTenant(remote(group.command('redact')))
    .description('take payload, recipient and callback out of a message that has ended')
    .argument('<id>')
    .addHelpText('after', examples([`fairlead message redact ${ID}`]))
    .action(async (id, options) => (await load()).redactMessage(id, options));
}

export function addDeadLetterCommands(program: Command): void {
  const group = program
    .command('dlq')
    .description('list, show, replay and purge dead letters: messages whose attempts are used up');
  const load = () => import('./dead-letters.ts');

  ofBoth(paged(remote(group.command('ls'))))
    .alias('list')
    .description('list dead letters')
    .addHelpText('after', examples(['fairlead dlq ls --destination sms-de']))
    .action(async (options) => (await load()).listDeadLetters(options));

  ofTenant(remote(group.command('get')))
    .description('show one dead letter and what happened to it')
    .argument('<id>')
    .action(async (id, options) => (await load()).getDeadLetter(id, options));

  for (const [verb, meaning] of [
    ['replay', 'put dead letters into their queues again'],
    ['purge', 'give dead letters up for good'],
  ] as const) {
    ofBoth(remote(group.command(verb)))
      .description(`${meaning}: by id, or all of a destination or tenant`)
      .argument('[ids...]')
      .addHelpText(
        'after',
        examples([`fairlead dlq ${verb} ${ID}`, `fairlead dlq ${verb} --destination sms-de`]),
      )
      .action(async (ids, options) => (await load()).settleDeadLetters(verb, ids, options));
  }
}

/** Adds `erase` to the commands of tenants. */
export function addEraseCommand(tenant: Command): void {
  remote(tenant.command('erase'))
    .description(
      'cancel, purge and redact all messages of a tenant; its fields stay, `tenant rm` deletes them',
    )
    .argument('<name>')
    .option(
      '--wait <duration>',
      'how long to wait for what is in flight (10s, at most 25s)',
      durationMs,
    )
    .addHelpText(
      'after',
      examples(['fairlead drain tenant acme && fairlead tenant erase acme --wait 25s']),
    )
    .action(async (name, options) => (await import('./erase.ts')).eraseTenant(name, options));
}

function ofTenant(command: Command): Command {
  return command.option('--tenant <name>', 'only if it is of this tenant');
}

function ofBoth(command: Command): Command {
  return command
    .option('--destination <name>', 'of this destination')
    .option('--tenant <name>', 'of this tenant');
}
