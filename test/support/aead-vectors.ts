/** The shape of Wycheproof's AEAD files. */

export interface AeadVectors {
  readonly testGroups: readonly { readonly ivSize: number; readonly tests: readonly AeadCase[] }[];
}

export interface AeadCase {
  readonly tcId: number;
  readonly comment: string;
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
  readonly result: 'valid' | 'invalid';
}

/** The cases whose nonce has `bits` bits: WireGuard's nonces have no other length, so other ones cannot be expressed. */
export function casesOf(vectors: AeadVectors, bits: number): readonly AeadCase[] {
  return vectors.testGroups.filter(({ ivSize }) => ivSize === bits).flatMap(({ tests }) => tests);
}
