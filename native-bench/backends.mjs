/** The crypto backends of a build that are there and pass their self-test, fastest first. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Imports a module of the build, `node/driver.js` say. */
export function fromDist(dist, name) {
  return import(pathToFileURL(join(dist, name)).href);
}

export async function backends(dist, note) {
  const { CRYPTO_NAMES, selectCrypto } = await fromDist(dist, 'node/crypto/select.js');
  const found = [];
  for (const prefer of CRYPTO_NAMES) {
    try {
      found.push(await selectCrypto({ prefer }));
    } catch (error) {
      note(`crypto backend ${prefer} is not measured: ${error.message}`);
    }
  }
  return found;
}
