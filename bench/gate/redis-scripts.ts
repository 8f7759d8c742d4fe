/**
 * The gate's counting as it is usually done on Redis: a key is a sorted set of permits by the end of their
 * leases, changed by scripts. Kept as cheap as can be: one limit a key (the daemon also counts the tenant
 * and the resource), and permits whose lease is over are only swept when the set is full. The time is the server's.
 */

/** KEYS: the set. ARGV: limit, leaseMs, permit. Answers how many are used, or −1. */
const ACQUIRE_ONE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit = tonumber(ARGV[1])
local used = redis.call('ZCARD', KEYS[1])
if used >= limit then
  used = used - redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  if used >= limit then return -1 end
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
return used + 1
`;

/** The same of many: a set and a permit an entry; an answer an entry. */
const ACQUIRE_LIST = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit = tonumber(ARGV[1])
local ends = now + ARGV[2]
local answers = {}
for at = 1, #KEYS do
  local key = KEYS[at]
  local used = redis.call('ZCARD', key)
  if used >= limit then
    used = used - redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  end
  if used >= limit then
    answers[at] = -1
  else
    redis.call('ZADD', key, ends, ARGV[2 + at])
    answers[at] = used + 1
  end
end
return answers
`;

/** KEYS: a set a permit. ARGV: the permits. Answers how many were there. */
const RELEASE_LIST = `
local released = 0
for at = 1, #KEYS do released = released + redis.call('ZREM', KEYS[at], ARGV[at]) end
return released
`;

export const SCRIPTS = {
  acquireOne: ACQUIRE_ONE,
  acquireList: ACQUIRE_LIST,
  releaseList: RELEASE_LIST,
} as const;

/** SHA-1 of each, as SCRIPT LOAD answered. */
export type ScriptHashes = Readonly<Record<keyof typeof SCRIPTS, string>>;

/** The name of a key's set. */
export function setName(resource: string, tenant: string): string {
  return `gate:${resource}:${tenant}`;
}
