/** The published test vectors, read as data from `../shared/vectors` beside the repository or from SLUICE_VECTORS. */

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe } from 'vitest';

const folder = process.env['SLUICE_VECTORS'] ?? resolve(import.meta.dirname, '../../../shared/vectors');

/**
 * A `describe` block over one vector file, whose parsed JSON is the argument of `body`. Where the file is absent, the block is
 * skipped and a warning says why.
 */
export function describeVectors<T>(title: string, file: string, body: (vectors: T) => void): void {
  const path = join(folder, file);
  const present = existsSync(path);
  if (!present) console.warn(`SKIPPED: ${title}: no ${path}; set SLUICE_VECTORS to the folder of the vectors`);
  describe.skipIf(!present)(title, () => {
    if (present) body(JSON.parse(readFileSync(path, 'utf8')) as T);
  });
}
