/** The model check of the native cell: every interleaving of its steps, by loom (gate_loom.rs). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface CellsResult {
  readonly tests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly passed: boolean;
  readonly faults: readonly string[];
}

const NATIVE = join(import.meta.dirname, '../..', 'native');
const TAIL_CHARACTERS = 4000;

export async function cellsRun(): Promise<CellsResult> {
  const startMs = performance.now();
  const child = spawn(
    'cargo',
    ['test', '-p', 'fairlead-core', '--profile', 'test-fast', '--test', 'gate_loom'],
    { cwd: NATIVE, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  const hear = (text: string): void => {
    said += text;
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  const [code] = (await once(child, 'close')) as [number | null];
  const found = /^test result: \w+\. (\d+) passed; (\d+) failed/m.exec(said);
  const tests = Number(found?.[1] ?? 0);
  const passed = code === 0 && tests > 0;
  return {
    tests,
    failed: Number(found?.[2] ?? 0),
    seconds: Number(((performance.now() - startMs) / 1000).toFixed(1)),
    passed,
    faults: passed ? [] : [said.slice(-TAIL_CHARACTERS)],
  };
}
