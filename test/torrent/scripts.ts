/** The build's own checks, typed: scripts/ is plain JavaScript. */

const load = async <T>(path: string): Promise<T> =>
  (await import(new URL(`../../scripts/${path}`, import.meta.url).href)) as T;

export const bundler: {
  bundleWebTorrent(options: {
    packagesDir?: string;
    outDir?: string;
  }): Promise<{ versions: Record<string, string>; bytes: number }>;
  outputFaults(code: string): string[];
  packagePath(file: string): string;
} = await load('bundle-webtorrent.mjs');

export const shapes: {
  readonly SOCKET_USES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly MARKERS: Readonly<Record<string, readonly string[]>>;
  markerFaults(file: string, source: string): string[];
  shapeFaults(sources: ReadonlyMap<string, string>): string[];
  versionFaults(versions: Readonly<Record<string, string>>): string[];
} = await load('webtorrent/shapes.mjs');

export const syntax: {
  membersUsed(source: string, name: string): string[];
  freeNames(source: string): string[];
  specifiers(source: string): string[];
} = await load('webtorrent/syntax.mjs');

export const replacements: { readonly HARMLESS_BUILTINS: readonly string[] } =
  await load('webtorrent/replacements.mjs');
