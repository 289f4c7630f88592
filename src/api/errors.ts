/** What the API answers to requests that it cannot serve, as data. `docs/reference/errors.md` lists it. */

/** Every code, with its status and what the caller can do about it. */
export const API_ERRORS = {
  ERR_API_REQUEST: { status: 400, hint: 'Check the request against docs/reference/api.md.' },
  ERR_API_UNAUTHORIZED: {
    status: 401,
    hint: 'Send the key from the file “api-key” in the state folder, as “Authorization: Bearer KEY” or “X-Api-Key: KEY”.',
  },
  ERR_API_HOST: {
    status: 403,
    hint: 'Call it as localhost, by a loopback address, or by the address that it listens on.',
  },
  ERR_API_NOT_FOUND: { status: 404, hint: 'See docs/reference/api.md for the routes.' },
  ERR_API_METHOD: { status: 405, hint: 'Use a method that the Allow header names.' },
  ERR_API_TIMEOUT: { status: 408, hint: 'Send the request at once.' },
  ERR_API_TOO_LARGE: { status: 413, hint: 'Send less.' },
  ERR_API_MEDIA_TYPE: { status: 415, hint: 'Send JSON, with “Content-Type: application/json”.' },
  ERR_API_HEADERS: { status: 431, hint: 'Send fewer or shorter headers.' },
  ERR_API_INTERNAL: { status: 500, hint: 'See the daemon’s log, and please report it.' },
  ERR_API_BUSY: { status: 503, hint: 'Close other event streams, or try again later.' },
} as const;

export type ApiErrorCode = keyof typeof API_ERRORS;

/** A request that is answered with an error. */
export class ApiError extends Error {
  override readonly name: string = 'ApiError';
  readonly code: ApiErrorCode;

  constructor(code: ApiErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The body of every answer that is an error. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string };
}

export function errorBody(code: ApiErrorCode, message: string): ErrorBody {
  return { error: { code, message, hint: API_ERRORS[code].hint } };
}
