import t from 'tap';
import { FairleadError } from '../src/errors.ts';

// Once a refusal took its stack, which was half of what a bad frame cost.
t.test('a coded error has no stack and leaves those of other errors alone', async (t) => {
  const { stackTraceLimit } = Error;
  const error = new FairleadError('unknownKind', 'There is no frame kind 9.', { kind: 9 });
  t.notMatch(error.stack, /\n\s+at /);
  t.match(error, { code: 1002, message: 'There is no frame kind 9.', details: { kind: 9 } });
  t.equal(Error.stackTraceLimit, stackTraceLimit);
  t.match(new Error('other').stack, /\n\s+at /);
});
