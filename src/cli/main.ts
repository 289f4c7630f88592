#!/usr/bin/env node
/** The `sluice` binary. */

import { reportFailure } from './failure.ts';
import { processIo } from './io.ts';
import { run } from './run.ts';

const io = processIo();
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) => process.exit(reportFailure(error, io, { json: false })));

process.exitCode = await run(process.argv.slice(2), io);
// What a library may have left open does not keep a finished command alive.
setTimeout(() => process.exit(), 1000).unref();
