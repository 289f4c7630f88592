/**
 * Errors of the `.conf` parser. Each names file and line, says what was found and what was expected, and never shows key
 * material, also not when a key stands where something else belongs.
 */

import { type ErrorCode, SluiceError } from '../../base/errors.ts';

/** Where something stands: `line` counts from 1. */
export interface Place {
  readonly file: string | undefined;
  readonly line: number;
}

/** `message` says what was found and what was expected; `hint`, if the code's own does not fit, what to do. */
export function fault(code: ErrorCode, place: Place, message: string, hint?: string): SluiceError {
  const where = place.file === undefined ? `line ${place.line}` : `${place.file}:${place.line}`;
  return new SluiceError(code, `${where}: ${message}`, hint === undefined ? {} : { hint });
}

/** A value as a message may show it: in quotes if it cannot hold a key, else a stand-in. */
export function shown(value: string): string {
  return mayHoldKey(value) || value.length > 64 ? 'the value (not shown here)' : `“${printable(value)}”`;
}

/** The name of a key or section as a message may show it: as `shown`, but a short word may have capitals. */
export function shownName(name: string): string {
  return /^[\w -]{1,24}$/.test(name) ? `“${name}”` : shown(name);
}

/** A run of 12 characters of the base64 alphabet with a capital among them is no host name, address or number that we expect. */
function mayHoldKey(value: string): boolean {
  return (value.match(/[A-Za-z0-9+/_=-]{12,}/g) ?? []).some((run) => /[A-Z]/.test(run) || /^[0-9a-f]{32,}$/.test(run));
}

/** A whole key in standard base64, for comments: they are kept and may be displayed. */
export function withoutKeys(comment: string): string {
  return comment.replace(/[A-Za-z0-9+/]{42,43}=*/g, '(key removed)').replace(/[0-9A-Fa-f]{64}/g, '(key removed)');
}

function printable(value: string): string {
  // Control characters would let a file write to the terminal of whoever reads the error.
  return value.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '�');
}
