/** The credential of a request: the API key, in one of two headers. Never in the address, which ends up in logs and histories. */

import { createHash, timingSafeEqual } from 'node:crypto';

/** The headers as node:http has them. */
export interface CredentialHeaders {
  readonly authorization?: string | undefined;
  readonly 'x-api-key'?: string | readonly string[] | undefined;
}

/** Knows the key by its hash alone, so that all comparisons take the same time whatever is sent. */
export class Credentials {
  readonly #hash: Buffer;

  constructor(apiKey: string) {
    this.#hash = hashOf(apiKey);
  }

  /** `Authorization: Bearer KEY` or `X-Api-Key: KEY`. One of both is enough: a proxy may use Authorization for its own purposes. */
  accept(headers: CredentialHeaders): boolean {
    const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
    const key = headers['x-api-key'];
    return [bearer, typeof key === 'string' ? key : undefined].some(
      (given) => given !== undefined && timingSafeEqual(hashOf(given), this.#hash),
    );
  }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
