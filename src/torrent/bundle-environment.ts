/** What the bundle sees of Node besides sockets: built-ins that open none, and small stand-ins for the global objects. */

import buffer from 'node:buffer';
import crypto from 'node:crypto';
import events from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import querystring from 'node:querystring';
import stream from 'node:stream';
import stringDecoder from 'node:string_decoder';
import { isatty } from 'node:tty';
import util from 'node:util';
import zlib from 'node:zlib';
import { SluiceError } from '../core/base/errors.ts';

/** The allow-list of scripts/webtorrent/replacements.mjs, which a test holds equal to this one. */
export const BUILTINS: Readonly<Record<string, unknown>> = {
  buffer,
  crypto,
  events,
  fs,
  os,
  path,
  querystring,
  stream,
  string_decoder: stringDecoder,
  tty: { isatty },
  util,
  zlib,
};

/** `require` inside the bundle. Throws ERR_WEBTORRENT_SHAPE for anything that is not on the list. */
export function requireBuiltin(name: string): unknown {
  if (!Object.hasOwn(BUILTINS, name))
    throw new SluiceError(
      'ERR_WEBTORRENT_SHAPE',
      `The WebTorrent bundle asks for the module ${name}, which it may not have.`,
    );
  return BUILTINS[name];
}

/** `process` inside the bundle: no bindings, no signals, and of the environment only what switches debug output on. */
export function bundleProcess(): object {
  const debug = Object.entries(process.env).filter(([name]) => /^(debug|no_color)/i.test(name));
  return {
    env: Object.fromEntries(debug),
    platform: process.platform,
    version: process.version,
    cwd: () => process.cwd(),
    emitWarning: (warning: string) => process.emitWarning(warning),
    hrtime: process.hrtime,
    nextTick: process.nextTick,
    stderr: { fd: 2, write: (text: string) => process.stderr.write(text) },
  };
}
