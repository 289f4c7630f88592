// Writes docs/reference/errors.md, cli.md, api.md and settings.md from the sources; with --check, only says whether they are up to date (exit 1 if not).
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = join(import.meta.dirname, '..');
const REFERENCE = join(ROOT, 'docs', 'reference');
const NOTICE = '<!-- Made by scripts/reference.mjs from the sources; changes here are lost. -->';

const check = process.argv.includes('--check');
const sources = await loadSources();
const { ERRORS, exitCodeOf, EXIT_MEANING, COMMANDS, commandHelp, overview } = sources;
let stale = 0;
for (const [name, text] of [
  ['errors.md', errorsPage()],
  ['cli.md', cliPage()],
  ['api.md', apiPage()],
  ['settings.md', settingsPage()],
]) {
  const path = join(REFERENCE, name);
  const present = await readFile(path, 'utf8').catch(() => '');
  if (present === text) continue;
  stale++;
  if (check) console.error(`docs/reference/${name} is not up to date: run node scripts/reference.mjs`);
  else await writeFile(path, text);
}
if (check && stale > 0) process.exitCode = 1;

function errorsPage() {
  const rows = Object.entries(ERRORS).map(([code, hint]) => `| \`${code}\` | ${exitCodeOf(code)} | ${hint} |`);
  return `${NOTICE}

# Errors

What the world does wrong (a file, a server, a disk) is one kind of error, \`SluiceError\`: \`code\` is one of these and stable,
\`message\` says what happened and why, \`hint\` what to do next, \`cause\` what lay below. None of them contains a key. Mistakes
of the calling program throw \`TypeError\` or \`RangeError\` and name the argument. What the network does wrong throws nothing: it is
dropped, counted by reason, and shown in the status.

| code | exit code of the command line | what to do |
|---|---|---|
${rows.join('\n')}

The command line has two codes more: \`ERR_USAGE\` (exit 2) for what was typed, and \`ERR_UNEXPECTED\` (exit 1) for what nobody
foresaw; please report the latter with the output of the same command under \`SLUICE_DEBUG=1\`.
`;
}

function apiPage() {
  const { ROUTES, EVENTS_ROUTE, EVENT_NAMES, API_ERRORS } = sources;
  const routes = [...ROUTES, EVENTS_ROUTE].map(
    ({ method, path, summary, public: open }) =>
      `| \`${method} ${path}\` | ${open ? 'nothing' : 'the API key'} | ${summary} |`,
  );
  const errors = Object.entries(API_ERRORS).map(([code, { status, hint }]) => `| \`${code}\` | ${status} | ${hint} |`);
  return `${NOTICE}

# HTTP API

The daemon (\`sluice up\`) listens on 127.0.0.1:8787 or where \`--listen\` says. Answers are JSON and never stored by anybody.

| route | needs | what |
|---|---|---|
${routes.join('\n')}

**Credential.** \`Authorization: Bearer KEY\` or \`X-Api-Key: KEY\`, with the key from the file \`api-key\` in the state folder; on loopback
too. Never in the address.

**Host.** Requests are answered under \`localhost\`, loopback addresses, and the address that the connection came to. Any other name is
refused, so that no web page can reach the API by making its own name resolve to this host.

**Events.** ${EVENT_NAMES.map((name) => `\`${name}\``).join(', ')}; the data are JSON with \`time\` and the facts. Each has an \`id\`: a reader
that comes back with \`Last-Event-ID\` is told what it missed, or gets the event \`gap\` first if that cannot be told any more; then read the
status anew. A comment comes every ten seconds. A reader that does not keep up is cut off.

## Errors

\`{"error":{"code","message","hint"}}\`. Beside these codes, an error of the [registry](errors.md) is answered with 503.

| code | status | what to do |
|---|---|---|
${errors.join('\n')}

## Status snapshot

One type for library, API and command line: \`StatusSnapshot\`, in \`src/node/status.ts\`.
`;
}

function settingsPage() {
  const rows = sources
    .describeSettings()
    .map(({ key, variable, expected, help }) => `| \`${key}\` | \`${variable}\` | ${expected} | ${help} |`);
  return `${NOTICE}

# Settings of the daemon

Environment variables of \`sluice up\`; its options go before them. A name of these sections that is not in the table, or a value that does
not fit, ends it with exit code 3 before anything is opened.

| key | environment | values | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}

function cliPage() {
  const exits = Object.entries(EXIT_MEANING).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  const pages = COMMANDS.map((command) => `## sluice ${command.name}\n\n\`\`\`text\n${commandHelp(command)}\`\`\``);
  return `${NOTICE}

# Command line

Facts that were asked for go to standard output, everything else to standard error. \`--json\` makes both one JSON object per line on
standard output; an error is then \`{"error":{"code","message","hint"}}\`.

| exit code | meaning |
|---|---|
${exits.join('\n')}

| environment | meaning |
|---|---|
| \`SLUICE_WIREGUARD_CONFIG\` | the \`.conf\` to use when no option names one |
| \`SLUICE_TUNNEL_STATE_DIR\` | the state folder: what must survive a restart, and the daemon's API key; else \`$XDG_STATE_HOME/sluice\`, else \`~/.local/state/sluice\` |
| \`SLUICE_DEBUG=1\` | adds stack traces to errors |

Further variables are settings of the daemon: [settings.md](settings.md).

## sluice --help

\`\`\`text
${overview(COMMANDS)}\`\`\`

${pages.join('\n\n')}
`;
}

/** Bundles the few source files that are needed, since the oldest Node that is supported does not run TypeScript. */
async function loadSources() {
  const folder = join(ROOT, '.tmp', `reference-${process.pid}`);
  const entry = join(folder, 'entry.ts');
  const source = (path) => JSON.stringify(join(ROOT, 'src', path));
  await mkdir(folder, { recursive: true });
  try {
    await writeFile(
      entry,
      `export { ERRORS } from ${source('core/base/errors.ts')};
export { EXIT_MEANING, exitCodeOf } from ${source('cli/exit-code.ts')};
export { COMMANDS } from ${source('cli/commands.ts')};
export { commandHelp, overview } from ${source('cli/help.ts')};
export { API_ERRORS } from ${source('api/errors.ts')};
export { EVENTS_ROUTE, ROUTES } from ${source('api/routes.ts')};
export { EVENT_NAMES } from ${source('api/source.ts')};
export { describeSettings } from ${source('daemon/settings.ts')};
`,
    );
    // What commands load when they run is not needed to describe them.
    const external =
      /^node:|\/node\/(?!state-folder|instance-lock)|\/(sandbox|torrent|demo)\/|\/daemon\/(daemon|log|crash|redaction)\.ts$/;
    const bundle = await rolldown({
      input: entry,
      logLevel: 'silent',
      external: (id) => external.test(id) && !id.startsWith(folder),
    });
    await bundle.write({ dir: folder, entryFileNames: 'entry.mjs', chunkFileNames: '[name].mjs' });
    await bundle.close();
    return await import(pathToFileURL(join(folder, 'entry.mjs')).href);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
