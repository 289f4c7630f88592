/**
 * Takes secrets out of text before anybody sees it: those that are known, in every form that they may be written in, and besides
 * whatever has the length and the alphabet of a key. It looks at finished text, so no field can be forgotten.
 */

const STAND_IN = '(key removed)';

/** 32 bytes in base64 or base64url, or in hex. No word boundary: a key may begin with `+` or `/`. */
const KEY_SHAPED = /(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{43}=?|[0-9A-Fa-f]{64})(?![A-Za-z0-9+/_=-])/g;

export class Redactor {
  readonly #secrets = new Set<string>();

  /** Text as it is, or bytes in every usual form. */
  add(secret: string | Uint8Array): void {
    if (typeof secret === 'string') this.#secrets.add(secret);
    else {
      const bytes = Buffer.from(secret);
      const hex = bytes.toString('hex');
      for (const form of [bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url'), hex])
        this.#secrets.add(form);
      this.#secrets.add(hex.toUpperCase());
    }
  }

  clean(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) clean = clean.replaceAll(secret, STAND_IN);
    return clean.replace(KEY_SHAPED, STAND_IN);
  }
}
