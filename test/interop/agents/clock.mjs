/**
 * Preloaded in every thread of an agent (`--import clock.mjs?FILE`): its wall clock is ahead of the host's by as many milliseconds as stand
 * in the file, from the moment they stand there.
 */
import { readFileSync } from 'node:fs';

const file = decodeURIComponent(new URL(import.meta.url).search.slice(1));
const now = Date.now;
Date.now = () => now() + ahead();

function ahead() {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return 0;
  }
}
