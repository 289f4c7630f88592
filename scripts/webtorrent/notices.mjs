/** The licences of what is bundled, as one text. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ACCEPTED =
  /^\(?(MIT|ISC|0BSD|BSD|BSD-[23]-Clause|Apache-2\.0|BlueOak-1\.0\.0|Unlicense|CC0-1\.0|WTFPL)( (OR|AND) .*)?\)?$/;

/** `files`: absolute paths of the bundled files. Throws if a package has no licence, or one that nobody has agreed to. */
export async function notices(files) {
  const folders = [...new Set(files.map(packageFolder))].sort();
  const packages = await Promise.all(folders.map(readPackage));
  const unique = new Map(packages.map((entry) => [`${entry.name}@${entry.version}`, entry]));
  const refused = [...unique.values()].filter(({ licence }) => !ACCEPTED.test(licence));
  if (refused.length > 0)
    throw new Error(`Licence not accepted: ${refused.map(({ name, licence }) => `${name} (${licence})`).join(', ')}`);
  const sections = [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([title, entry]) => section(title, entry));
  return `webtorrent-bundle.js contains these ${unique.size} packages.\n\n${sections.join('\n')}`;
}

function packageFolder(file) {
  const [folder] = /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(file) ?? [];
  if (!folder) throw new Error(`${file} belongs to no package`);
  return folder;
}

async function readPackage(folder) {
  const { name, version, license, licenses, author } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const licence = [license ?? licenses]
    .flat()
    .map((entry) => entry?.type ?? entry)
    .join(' OR ');
  const file = (await readdir(folder)).find((entry) => /^(licen[sc]e|copying)/i.test(entry));
  const text = file && (await readFile(join(folder, file), 'utf8')).trim();
  return { name, version, licence, author: author?.name ?? author, text };
}

function section(title, { licence, author, text }) {
  const rule = '-'.repeat(80);
  const body =
    text ??
    `Licence ${licence}, as package.json says; the package contains no licence file.${author ? `\nAuthor: ${author}` : ''}`;
  return `${rule}\n${title} (${licence})\n${rule}\n\n${body}\n`;
}
