// Writes docs/reference/errors.md and cli.md from the sources; with --check, only says whether they are up to date (exit 1 if not).
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = join(import.meta.dirname, '..');
const REFERENCE = join(ROOT, 'docs', 'reference');
const NOTICE = '<!-- Made by scripts/reference.mjs from the sources; changes here are lost. -->';

const check = process.argv.includes('--check');
const { ERRORS, exitCodeOf, EXIT_MEANING, COMMANDS, commandHelp, overview } = await loadSources();
let stale = 0;
for (const [name, text] of [
  ['errors.md', errorsPage()],
  ['cli.md', cliPage()],
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

function cliPage() {
  const exits = Object.entries(EXIT_MEANING).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  const pages = COMMANDS.map((command) => `## sluice ${command.name}\n\n\`\`\`text\n${commandHelp(command)}\`\`\``);
  return `${NOTICE}

# Command line

Facts that were asked for go to standard output, everything else to standard error. \`--json\` makes both one JSON object per line on
standard output; an error is then \`{"error":{"code","message","hint"}}\`.

Codes 5 and 6 are kept for commands to come.

| exit code | meaning |
|---|---|
${exits.join('\n')}

| environment | meaning |
|---|---|
| \`SLUICE_WIREGUARD_CONFIG\` | the \`.conf\` to use when no option names one |
| \`SLUICE_TUNNEL_STATE_DIR\` | where the last handshake's timestamp is kept; else \`$XDG_STATE_HOME/sluice\`, else \`~/.local/state/sluice\` |
| \`SLUICE_DEBUG=1\` | adds stack traces to errors |

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
`,
    );
    // What commands load when they run is not needed to describe them.
    const external = /^node:|\/(node|sandbox|torrent|demo)\//;
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
