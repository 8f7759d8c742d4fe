#!/usr/bin/env node
// The command `fairlead`: from argv to one command.
import { createRequire } from 'node:module';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

if (process.argv[2] === '--version') {
  console.log(`fairlead ${version}`);
} else {
  console.error('usage: fairlead --version');
  process.exitCode = 2;
}
