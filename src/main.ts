// The command `fairlead`: from argv to one command. Installed, it is started through
// main-launcher.cts, which sets the size of the thread pool before that starts.
import { run } from './cli/run.ts';

process.exitCode = await run(process.argv.slice(2));
