import { ApiClient, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { formatFields, printJson, printLine } from './output.ts';

export interface EraseOptions extends RemoteOptions {
  /** In ms. */
  readonly wait?: number;
}

/** An answer comes after the wait at the earliest. */
const TIMEOUT_MS = 60_000;

/** Erases a tenant's messages; fails while some of them are in flight. */
export async function eraseTenant(name: string, options: EraseOptions): Promise<void> {
  const answer = await new ApiClient(options).request({
    method: 'POST',
    path: ['v1', 'tenants', name, 'erase'],
    body: { waitMs: options.wait },
    timeoutMs: TIMEOUT_MS,
  });
  if (options.json) printJson(answer);
  else printLine(formatFields(answer));
  if (answer.left === 0) return;
  throw new CliError(EXIT.temporary, `${answer.left} messages of ${name} are left.`, {
    hint: `They are in flight, or came meanwhile: \`fairlead drain tenant ${name}\`, then erase again.`,
    answer,
  });
}
