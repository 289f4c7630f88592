/** What `get` is asked for: a magnet link as it is, a .torrent file read and looked at. */

import { readFile } from 'node:fs/promises';
import { SluiceError } from '../core/base/errors.ts';

/** Resolves to what a torrent client's `add` takes. Throws `ERR_TORRENT`. */
export async function readTorrentSource(source: string): Promise<string | Uint8Array> {
  if (/^magnet:/i.test(source)) return magnet(source);
  if (/^[a-z]+:\/\//i.test(source))
    throw new SluiceError('ERR_TORRENT', 'Web addresses are not fetched.', {
      hint: 'Download the .torrent file, or use the magnet link.',
    });
  let bytes: Uint8Array;
  try {
    bytes = await readFile(source);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new SluiceError(
      'ERR_TORRENT',
      `The torrent file ${source} ${missing ? 'does not exist' : 'cannot be read'}.`,
      { cause },
    );
  }
  // A bencoded dictionary (BEP 3).
  if (bytes[0] !== 0x64)
    throw new SluiceError('ERR_TORRENT', `${source} is not a torrent file: it does not begin as one.`, {
      hint: 'A web page saved under this name, perhaps? Download the .torrent file again.',
    });
  return bytes;
}

/** BEP 9: the info hash in hex or base32. */
function magnet(link: string): string {
  if (/[?&]xt=urn:btih:([0-9a-f]{40}|[a-z2-7]{32})(&|$)/i.test(link)) return link;
  const partial = /[?&]xt=urn:btmh:/i.test(link)
    ? 'it is of BitTorrent v2 alone, which is not supported'
    : 'it has no whole xt=urn:btih: part';
  throw new SluiceError('ERR_TORRENT', `The magnet link cannot be used: ${partial}.`, {
    hint: 'Put the link in quotes, since the shell cuts it at “&” otherwise, and copy it whole.',
  });
}
