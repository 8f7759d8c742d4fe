import t from 'tap';
import { DAEMON_ERRORS, FairleadClientError, LOCAL_ERRORS } from '../../src/client/error.ts';
import { ERRORS } from '../../src/errors.ts';

t.test('the table of daemon errors is the daemon’s own', async (t) => {
  const expected = Object.entries(ERRORS).map(([name, { code, retryable }]) => [
    String(code),
    [name, retryable],
  ]);
  t.strictSame(DAEMON_ERRORS, Object.fromEntries(expected));
});

t.test('local errors have names of their own', async (t) => {
  t.strictSame(
    Object.keys(LOCAL_ERRORS).filter((name) => name in ERRORS),
    [],
  );
});

t.test('an unknown number keeps its number', async (t) => {
  t.match(FairleadClientError.fromCode(4999, 'new'), {
    error: 'internal',
    code: 4999,
    retryable: false,
    message: 'new',
  });
});
