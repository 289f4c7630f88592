/** Answers line-JSON requests on standard input with `commands`; ends with its input. */
import { createInterface } from 'node:readline';

export function serve(commands) {
  createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const { id, command, ...args } = JSON.parse(line);
      try {
        const result = await commands[command](args);
        process.stdout.write(`${JSON.stringify({ id, result: result ?? null })}\n`);
      } catch (error) {
        process.stdout.write(`${JSON.stringify({ id, error: `${error.code ?? ''} ${error.message}`.trim() })}\n`);
      }
    })
    .on('close', () => process.exit(0));
}
