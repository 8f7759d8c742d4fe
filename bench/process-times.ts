/** Processor time and memory of a process as Linux shows them in /proc. */
import { readFileSync } from 'node:fs';

/** The kernel's USER_HZ: the unit of times in /proc, 100 on every architecture Node runs on. */
const TICKS_PER_SEC = 100;

export interface ProcessTimes {
  /** User and system time of all threads. */
  readonly processUs: number;
  readonly mainThreadUs: number;
}

/** User and system time in µs, from the text of `/proc/PID/stat` (proc(5)). */
export function parseProcessTimes(stat: string): number {
  // The name of the program stands in parentheses and may hold anything, so count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  const ticks = userTicks + systemTicks;
  if (!Number.isFinite(ticks)) throw new Error(`no times in ${JSON.stringify(stat)}`);
  return (ticks / TICKS_PER_SEC) * 1e6;
}

/** What a process has used so far, in steps of 10 ms. */
export function processTimes(pid: number): ProcessTimes {
  const read = (path: string): string => readFileSync(`/proc/${pid}/${path}`, 'latin1');
  return {
    processUs: parseProcessTimes(read('stat')),
    mainThreadUs: parseProcessTimes(read(`task/${pid}/stat`)),
  };
}

export interface ProcessMemory {
  readonly rssMiB: number;
  /** Without files in the page cache that are mapped, such as the journal. */
  readonly rssAnonMiB: number;
}

/** From the text of `/proc/PID/status`. */
export function parseProcessMemory(status: string): ProcessMemory {
  return { rssMiB: memoryMiB(status, 'VmRSS'), rssAnonMiB: memoryMiB(status, 'RssAnon') };
}

function memoryMiB(status: string, name: string): number {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kib === undefined) throw new Error(`no ${name} in ${JSON.stringify(status.slice(0, 200))}`);
  return Number(kib) / 1024;
}
