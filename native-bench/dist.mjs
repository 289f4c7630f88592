import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Imports a module of a build, `node/driver.js` say. */
export function fromDist(dist, name) {
  return import(pathToFileURL(join(dist, name)).href);
}
