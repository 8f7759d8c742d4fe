// The SDK as the commands use it: connected with the flags, its errors told like those of the REST API.
import { type Client, connect, FairleadClientError } from '../client/index.ts';
import { ApiClient, type RemoteOptions, unreachable } from './api-client.ts';
import { CliError, EXIT, type ExitCode } from './cli-error.ts';

/** Connects, runs the task, closes. @throws CliError */
export async function withClient<T>(
  options: RemoteOptions,
  task: (client: Client) => Promise<T>,
): Promise<T> {
  const { url, token } = new ApiClient(options);
  const client = connect({ url, token });
  try {
    await firstConnection(client);
    return await task(client);
  } catch (error) {
    throw cliErrorOf(error, url);
  } finally {
    await client.close();
  }
}

/** The SDK would try for ever; a command says at once that nobody is there. */
async function firstConnection(client: Client): Promise<void> {
  let last: unknown;
  client.on('error', (error) => {
    last = error;
  });
  const failed = new Promise<never>((_, reject) => {
    client.on('disconnected', ({ reason }) => {
      reject(last ?? new FairleadClientError('connectionLost', reason || 'connection refused'));
    });
  });
  // Later disconnections are the SDK's business.
  failed.catch(() => {});
  await Promise.race([client.whenConnected(), failed]);
}

const HINTS: Readonly<Record<string, string>> = {
  unknownDestination: 'Make it: `fairlead destination put NAME`.',
  tenantRequired: 'Name it with --tenant.',
};

function cliErrorOf(error: unknown, url: string): unknown {
  if (!(error instanceof FairleadClientError)) return error;
  const { code, message } = error;
  if (code === 0) return unreachable(url, error);
  return new CliError(exitCodeOf(error), `${message} (code ${code})`, {
    hint: HINTS[error.error],
  });
}

function exitCodeOf({ code, retryable }: FairleadClientError): ExitCode {
  if (code >= 2000 && code < 3000) return EXIT.noPermission;
  if (retryable) return EXIT.temporary;
  return code >= 9000 ? EXIT.internal : EXIT.data;
}
