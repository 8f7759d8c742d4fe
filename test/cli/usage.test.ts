// The commands of usage, triggers, prices and caps against a daemon.
import t from 'tap';
import { until } from '../support/webhook-peer.ts';
import { hostCommands, startDev } from './run-cli.ts';

t.test('usage, triggers, prices and caps', async (t) => {
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const env = { FAIRLEAD_URL: daemon.url, FAIRLEAD_TOKEN: daemon.token };
  const cli = await hostCommands(t, env);
  /** What a command prints as JSON; its words are one text. */
  const json = async (words: string, ...more: readonly string[]) => {
    const { code, stdout, stderr } = await cli(...words.split(' '), ...more, '--json');
    return code === 0 ? JSON.parse(stdout) : { code, stderr };
  };
  const text = async (words: string) => {
    const { code, stdout, stderr } = await cli(...words.split(' '));
    return `${code} ${stdout}${stderr}`;
  };

  await t.test('prices and caps', async (t) => {
    t.match(await json('price put pages --by count --steps 0.005,2100-01-01=0.01'), {
      by: 'count',
      steps: [
        { fromMs: 0, price: '0.005' },
        { fromMs: Date.UTC(2100, 0), price: '0.01' },
      ],
    });
    t.match(await json('price put pages/globex --steps 0.5'), { by: 'usage' });
    t.match(await text('price ls'), /^0 [\s\S]*pages\/globex/);
    t.match(await text('price put pages --steps much'), /^65 .*steps\.0\.price: is a decimal/);
    t.match(await json('cap put acme/monthly --value 100'), {
      ...{ category: 'messages', by: 'price', period: 'month', value: '100' },
    });
    t.match(await text('cap put acme --value 100'), /^64 .*named tenant\/name/);
    t.match(await text('cap put acme/monthly --value -1'), /^6[45] /);
    t.match(await text('cap rm acme/monthly'), /^0 .*is deleted/);
    t.match(await text('cap ls'), /^0 .*no cap yet/);
  });

  await t.test('events and records', async (t) => {
    const send = 'usage send pages 12 --tenant acme --tag scan --count 3';
    t.equal(await text(`${send} --key job-1`), '0 Counted.\n');
    t.match(await text(`${send} --key job-1`), /^0 The key was known/);
    t.match(await json('usage send pages 8 --tenant acme --at 2020-01-01T00:00:00Z'), {
      code: 65,
      stderr: /code 5001/,
    });
    t.match(await text('usage send pages many --tenant acme'), /^64 .*is a whole number/);
    t.match(await text('usage send messages 1 --tenant acme'), /^65 .*code 5004/);
    t.equal(await text('usage send --tenant acme -- pages -2'), '0 Counted.\n');
    const acme = '--tenant acme --category pages --period alltime';
    const { items } = await json(`usage records ${acme} --tags`);
    t.match(items, [
      { account: 'acme', category: 'pages', tag: null, count: 3, usage: 10, price: '0.015000000' },
      { tag: 'scan', count: 3, usage: 12 },
    ]);
    const [head, row, ...rest] = (await text(`usage records ${acme} --csv`)).split('\n');
    t.equal(head, '0 account,category,tag,from,to,count,usage,price');
    t.match(row, /^acme,pages,,\d{4}-\d\d-\d\d,\d{4}-\d\d-\d\d,3,10,0\.015000000$/);
    t.strictSame(rest, ['']);
    t.match(await text('usage records --tenant nobody'), /^0 Nothing was counted/);
    t.match(await text('usage records --limit 1'), /^0 [\s\S]*more: --cursor /);
    t.match(await text('usage records --from 2026-02-30'), /^65 .*from: is a day/);
    t.match(await text('usage stats'), /^0 [\s\S]*counters +\d/);
  });

  await t.test('triggers and the ledger', async (t) => {
    t.match(await text('trigger ls'), /^0 There is no trigger yet/);
    const put = 'trigger put --tenant acme --category pages --by usage';
    const plus = await json(`${put} --value +5 --action ledger=9.95 --name Pages`);
    t.match(plus, {
      ...{ account: 'acme', value: '5', relative: true, base: '10', friendlyName: 'Pages' },
      action: { kind: 'ledger', number: 9.95 },
    });
    const fields = { tenant: 'acme', category: 'faxes', value: 2, tag: 'late', everyN: 2 };
    const body = await json('trigger put --by count --json-body', JSON.stringify(fields));
    t.match(body, { account: 'acme', category: 'faxes', tag: 'late', everyN: 2, by: 'count' });
    const told = 'https://acme.example/usage';
    const changed = await json(
      `trigger put ${body.sid} --category faxes --value 7 --recurring daily --callback ${told}`,
      ...['--callback', `${told}/2`, '--form', 'form'],
    );
    t.match(changed, {
      ...{ sid: body.sid, value: '7', tag: null, recurring: 'daily', everyN: 1, arming: 1 },
      callbacks: [
        { url: told, form: 'form' },
        { url: `${told}/2`, form: 'form' },
      ],
    });
    t.match(
      await text('trigger ls --recurring daily'),
      /^0 .*\nUT\w+ +acme +faxes +count +7 +daily/,
    );
    t.match(await text('trigger ls --limit 1'), /^0 [\s\S]*Pages[\s\S]*more: --cursor /);
    t.match(await text(`${put} --value 5 --json-body []`), /^64 .*not an object/);
    t.match(await text(`${put} --value 5 --json-body {`), /^64 .*cannot be read/);
    t.match(await text(`${put} --value 5 --action fly`), /^65 .*action\.kind: is pause,/);

    await cli(...'usage send pages 5 --tenant acme'.split(' '));
    const lines = async () => (await json('usage ledger --tenant acme')).items;
    await until('its line is there', async () => (await lines()).length === 1);
    const line = { trigger: plus.sid, value: '5', currentValue: '5', amount: 9.95 };
    t.match(await lines(), [{ tenant: 'acme', category: 'pages', ...line, period: 'alltime' }]);
    t.match(await text('usage ledger'), /^0 .*\nacme +20\S+Z +UT\w+ +pages +usage +5 +5 +9\.95 /);
    t.match(await text('usage ledger --to 2020-01-01'), /^0 There is no line/);
    t.match(await text(`trigger show ${plus.sid}`), /firings +1\n/);
    t.match(await json(`trigger rearm ${plus.sid}`), { arming: 1, firings: 1 });
    t.match(await text(`trigger rm ${plus.sid}`), /^0 .*is deleted/);
    t.match(await text(`trigger show ${plus.sid}`), /^65 .*5007/);
  });

  t.equal(await daemon.end('SIGTERM'), 0);
});
