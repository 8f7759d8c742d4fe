/** Where the rows below were measured: figures mean nothing without it. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface HostRow {
  readonly scope: 'host';
  readonly name: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly fairlead: string;
  /** Load average of the last minute before anything is measured: others' work. */
  readonly loadBefore: number;
}

export function hostRow(): HostRow {
  const packageFile = new URL('../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };
  return {
    scope: 'host',
    name: 'host',
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    fairlead: version,
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}
