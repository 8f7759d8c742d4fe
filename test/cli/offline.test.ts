// Commands that need no daemon: help, options, tokens, and what goes wrong before anything is asked.
import { join } from 'node:path';
import t from 'tap';
import { runCli } from './run-cli.ts';

const secret = '0123456789abcdef0123456789abcdef';
const key = `auth.keys=[{ id = "a", secret = "${secret}" }]`;

t.test('help, version and usage errors', async (t) => {
  const version = await runCli(['--version']);
  t.match(version, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: '' });
  const help = await runCli(['destination', 'put', '--help']);
  t.equal(help.code, 0);
  t.match(help.stdout, /--rate-per-sec <n>.*messages a second/);
  t.match(help.stdout, /Examples:\n {2}fairlead destination put sms-de --rate-per-sec 100/);
  t.match(await runCli(['destnation', 'ls']), { code: 64, stderr: /Did you mean destination\?/ });
  t.match(await runCli(['consume']), { code: 64, stderr: /missing required argument/ });
  t.match(await runCli(['consume', 'd', '--max', '0']), {
    code: 64,
    stderr: /whole number from 1/,
  });
});

t.test('check-config prints values and where they come from, never secrets', async (t) => {
  const file = join(import.meta.dirname, '../config/good/key-tables.toml');
  const table = await runCli(['check-config', '--set', key, '--port', '7601']);
  t.match(table, { code: 0, stdout: /^ingress\.port\s+7601\s+--port\s/m });
  t.match(table.stdout, /^auth\.keys\s+\[{"id":"a","secret":"\(redacted\)"}\]\s+--set auth\.keys/m);
  t.notMatch(table.stdout, secret);
  const env = { FAIRLEAD_LOG_LEVEL: 'debug', FAIRLEAD_LOG_LEVL: 'x' };
  const json = await runCli(['check-config', '--set', key, '--json'], { env });
  const { options, warnings } = JSON.parse(json.stdout) as {
    options: { key: string; value: unknown; from: string }[];
    warnings: string[];
  };
  t.match(
    options.find((option) => option.key === 'log.level'),
    { value: 'debug', from: 'FAIRLEAD_LOG_LEVEL' },
  );
  t.match(warnings, [
    /FAIRLEAD_LOG_LEVL: no option has this variable; did you mean FAIRLEAD_LOG_LEVEL/,
  ]);
  const missing = await runCli(['check-config', '--config', file]);
  t.match(missing, { code: 78, stderr: /auth\.keys\.0\.secretFile: the file cannot be read/ });
});

t.test('a configuration that cannot be used ends serve with 78', async (t) => {
  const wrong = await runCli(['serve', '--set', 'ingress.prot=1']);
  t.match(wrong, {
    code: 78,
    stdout: '',
    stderr: /ingress\.prot: there is no such option; did you mean ingress\.port\?/,
  });
  const keyless = await runCli(['serve', '--data', t.testdir(), '--port', '0']);
  t.match(keyless, { code: 78, stderr: /auth\.keys: at least one key is needed/ });
  t.match(await runCli(['serve', '--set', 'x']), { code: 64, stderr: /--set takes KEY=VALUE/ });
});

t.test('token issue', async (t) => {
  const { code, stdout } = await runCli(['token', 'issue', '--set', key, '--tenant', 'acme']);
  t.equal(code, 0);
  const claims = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString());
  t.match(claims, { iss: 'fairlead', aud: 'fairlead', tenant: 'acme', scope: 'publish' });
  t.equal(claims.exp - claims.iat, 12 * 3600);
  const file = join(t.testdir({ 'a.key': `${secret}\n` }), 'a.key');
  const json = await runCli(['token', 'issue', '--key-file', file, '--ttl', '30d', '--json']);
  t.match(JSON.parse(json.stdout), { scope: 'publish consume gate usage platform', tenant: null });
  const forbidden = await runCli([
    'token',
    'issue',
    '--set',
    key,
    '--tenant',
    'a',
    '--scope',
    'consume',
  ]);
  t.match(forbidden, { code: 64, stderr: /tenant cannot hold consume/ });
  const named = await runCli(['token', 'issue', '--set', key, '--subject', 'ops@example']);
  t.match(JSON.parse(Buffer.from(named.stdout.split('.')[1] ?? '', 'base64url').toString()), {
    sub: 'ops@example',
  });
  t.match(await runCli(['token', 'issue', '--set', key, '--scope', 'publsh']), { code: 64 });
  t.match(await runCli(['token', 'issue', '--set', key, '--ttl', 'long']), { code: 64 });
  t.match(await runCli(['token', 'issue', '--set', key, '--key', 'b']), { code: 78 });
});

t.test('without a daemon or a token', async (t) => {
  const env = { FAIRLEAD_URL: 'http://127.0.0.1:9', FAIRLEAD_TOKEN: 'x' };
  t.match(await runCli(['status'], { env }), { code: 69, stderr: /cannot be reached/ });
  t.match(await runCli(['publish', 'd', 'x'], { env }), { code: 69, stderr: /cannot be reached/ });
  t.match(await runCli(['status']), { code: 77, stderr: /No token was given/ });
  t.match(await runCli(['status', '--url', 'x', '--token', 'x']), { code: 64 });
});
