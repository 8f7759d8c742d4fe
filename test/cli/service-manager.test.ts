// What is told to systemd, without systemd.
import t from 'tap';
import { type Logger, silentLogger } from '../../src/base/logger.ts';
import { ServiceManager } from '../../src/cli/service-manager.ts';
import { native } from '../../src/native.ts';

t.test('nobody to tell is no failure', async (t) => {
  delete process.env.NOTIFY_SOCKET;
  t.equal(native.notify('READY=1'), false);
});

t.test('a socket that is not there is logged, and the daemon goes on', async (t) => {
  process.env.NOTIFY_SOCKET = '/nowhere/notify';
  t.teardown(() => delete process.env.NOTIFY_SOCKET);
  t.throws(() => native.notify('READY=1'), { message: /NOTIFY_SOCKET \/nowhere\/notify: No such/ });
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_, message) => warnings.push(message) };
  new ServiceManager(logger).stopping();
  t.strictSame(warnings, ['the service manager was not told']);
});
