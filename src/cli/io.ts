/** What a command may touch of the process, so that tests can hand in their own. */

/** One output stream. */
export interface Screen {
  write(text: string): void;
  /** Whether a person is looking: bars and colours only then. */
  readonly isTTY: boolean;
  /** Width in characters; read anew for each line, since windows are resized. */
  readonly columns: number;
}

export interface Io {
  /** Facts that were asked for. */
  readonly out: Screen;
  /** Everything else: progress, warnings, errors. */
  readonly err: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdinIsTTY: boolean;
  /** All of standard input. */
  readStdin(): Promise<string>;
  /** Aborted by Ctrl-C, SIGTERM, or when nobody reads the output any more (SIGPIPE): the reason names the signal. Commands end in good order then. */
  readonly stop: AbortSignal;
}

/** More than an ordered end takes. */
const UNREAD_LIMIT_MS = 5_000;

/** The process's own streams and signals. The second Ctrl-C ends the process at once. */
export function processIo(): Io {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143);
      stopping.abort(signal);
    });
  // `sluice … | head -1` closes the pipe early, which is no error of ours: whatever runs ends in good order.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') return;
    if (!stopping.signal.aborted) stopping.abort('SIGPIPE');
    setTimeout(() => process.exit(0), UNREAD_LIMIT_MS).unref();
  });
  return {
    out: screen(process.stdout),
    err: screen(process.stderr),
    env: process.env,
    stdinIsTTY: process.stdin.isTTY === true,
    readStdin,
    stop: stopping.signal,
  };
}

function screen(stream: NodeJS.WriteStream): Screen {
  return {
    write: (text) => void stream.write(text),
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 80;
    },
  };
}

async function readStdin(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text;
}
