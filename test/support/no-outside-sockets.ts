/** Vitest's setup file: see no-outside-sockets.mjs. `test/support/no-outside-sockets.test.ts` proves each guard. */
import './no-outside-sockets.mjs';
