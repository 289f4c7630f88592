/** A line of the log as a person reads it on a terminal. */

const COLOURS: Readonly<Record<string, number>> = { fatal: 31, error: 31, warn: 33, info: 32, debug: 36, trace: 90 };

/** `12:00:01 warn   The VPN server has not answered.  code=silent`, and what to do on a line of its own. */
export function prettyLine(json: string, colour: boolean): string {
  const { level, time, message, hint, error, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const facts = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const head = [
    paint(90, clock(String(time))),
    paint(COLOURS[String(level)] ?? 0, String(level).padEnd(5)),
    printable(String(message ?? '')),
    ...(facts.length > 0 ? [paint(90, printable(facts.join(' ')))] : []),
  ];
  const below = [
    ...(hint === undefined ? [] : [`next: ${String(hint)}`]),
    ...(isError(error) ? String(error.stack ?? error.message).split('\n') : []),
  ];
  return `${[head.join('  '), ...below.map((line) => `${' '.repeat(17)}${printable(line)}`)].join('\n')}\n`;
}

function isError(value: unknown): value is { readonly message?: string; readonly stack?: string } {
  return typeof value === 'object' && value !== null;
}

function clock(time: string): string {
  const date = new Date(time);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** Control characters would let a name from the network write to the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '�');
}
