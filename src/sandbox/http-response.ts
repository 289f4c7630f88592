/** Answers of the sandbox's web servers. */

const STATUS: Record<number, string> = {
  200: 'OK',
  400: 'Bad Request',
  405: 'Method Not Allowed',
  431: 'Request Header Fields Too Large',
};

/** A whole response (RFC 9112), after which the connection ends. */
export function respond(status: number, type: string, body: string): string {
  return [
    `HTTP/1.1 ${status} ${STATUS[status]}`,
    `Content-Type: ${type}`,
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
