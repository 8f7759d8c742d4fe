import { createHash } from 'node:crypto';
import type { Job } from './job.ts';

/**
 * The `webhook-id` of a request about these messages: the same for the same attempts, another one
 * for later attempts. Whoever has to know a message again looks at its own id.
 */
export function requestId(what: string, jobs: readonly Job[]): string {
  const [first] = jobs;
  if (jobs.length === 1 && first !== undefined) {
    return `${what}_${first.messageId}_${first.attempt}`;
  }
  const hash = createHash('sha256');
  for (const { messageId, attempt } of jobs) hash.update(`${messageId}_${attempt} `);
  return `${what}_${hash.digest('hex').slice(0, 32)}`;
}
