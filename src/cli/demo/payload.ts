/** The file that the demo shares: made anew each time, random to the eye, and hashed while it is written. */

import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';

const CHUNK = 1024 * 1024;

/** Writes `sizeBytes` of noise to `path`; resolves with its SHA-256 in hex. */
export async function writePayload(path: string, sizeBytes: number): Promise<string> {
  // A stream cipher over zeros is a fast source of bytes that no layer can compress away.
  const noise = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  const hash = createHash('sha256');
  const file = await open(path, 'wx');
  try {
    for (let written = 0; written < sizeBytes; written += CHUNK) {
      const chunk = noise.update(new Uint8Array(Math.min(CHUNK, sizeBytes - written)));
      hash.update(chunk);
      await file.writeFile(chunk);
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** The SHA-256 of a file, in hex. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
