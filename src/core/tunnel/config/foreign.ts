/** What people paste by mistake instead of a WireGuard configuration, told apart so that the error can name it. */

import type { SluiceError } from '../../base/errors.ts';
import { fault } from './fault.ts';

/** Longer than any configuration, shorter than any film. */
const MAX_LENGTH = 1_000_000;

const AGAIN = 'Download the .conf file from your provider and use that file.';

/** The error for text that is no `.conf` at all; `undefined` if it may be one. */
export function foreignText(text: string, file: string | undefined): SluiceError | undefined {
  const start = text.slice(0, 4096).trimStart();
  const is = (what: string, hint: string = AGAIN): SluiceError =>
    fault('ERR_CONFIG_SYNTAX', { file, line: 1 }, `${what}, not a WireGuard configuration.`, hint);
  if (start === '' && text.length <= 4096) return is('the file is empty');
  if (/^.\0|^\0|^[\ufffd]{2}/.test(text)) return is('this is UTF-16 or binary', 'Save the file as UTF-8 text.');
  if (text.includes('\0') || text.length > MAX_LENGTH) return is('this is binary or far too long');
  if (/^<(!doctype|html|head|body|\?xml|!--|div|p|pre|script)\b|^<[a-z]+\s[^>]*>/i.test(start))
    return is('this is a web page', `${AGAIN} A page instead of a file often means that you were signed out.`);
  if (/^\{|^\[\s*[{["\]]/.test(start)) return is('this is JSON');
  if (/^(client|dev tun|dev tap|proto udp|proto tcp|remote \S+)\b/im.test(start) && !/\[\s*interface\s*\]/i.test(text))
    return is(
      'this is an OpenVPN profile',
      'Choose WireGuard instead of OpenVPN at your provider, and download that .conf file.',
    );
  return undefined;
}
