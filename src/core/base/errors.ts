/**
 * The one error type for the world's faults: a port in use, a bad configuration, a server that does not answer. Faults of the
 * caller throw TypeError or RangeError; faults of the network are values. Codes are stable; `docs/reference/errors.md` lists them.
 */

/** Every code, with what a person can do about it. */
export const ERRORS = {
  ERR_CONFIG_FILE: 'Check the path of the configuration file, and that you may read it.',
  ERR_CONFIG_SYNTAX: 'Check the file against the .conf that your provider gave you.',
  ERR_CONFIG_KEY: 'Download the .conf from your provider again, and paste it whole.',
  ERR_CONFIG_ADDRESS: 'An address looks like 10.2.0.2/32 or fd00::2/128.',
  ERR_CONFIG_ENDPOINT: 'An endpoint looks like 198.51.100.2:51820, [2001:db8::2]:51820 or vpn.example.com:51820.',
  ERR_CONFIG_VALUE: 'Correct the value, or remove the line to use the default.',
  ERR_ENDPOINT_LOOKUP: 'Check the name in Endpoint and this host’s DNS, or put the server’s IP address there.',
  ERR_UDP_PORT: 'Check that this host has a network connection and that no firewall forbids outgoing UDP.',
  ERR_HANDSHAKE_TIMEOUT:
    'Check Endpoint, the keys and PresharedKey, and that outgoing UDP is allowed; the provider may have revoked the key.',
  ERR_CLOCK: 'Set this host’s date and time: a handshake with a date in the future would lock the key out for good.',
  ERR_STATE_DIR: 'Make the state folder writable, or name another one.',
  ERR_STATE_LOCKED: 'End the other one, or give each its own key and state folder.',
  ERR_DNS_NONE: 'Add a DNS line to the .conf, or use addresses instead of names.',
  ERR_PORT_FORWARD_REFUSED:
    'Choose a server and a plan with port forwarding, and switch it on where the .conf is made (Proton VPN: “NAT-PMP (Port Forwarding)”); or set the provider to none.',
  ERR_PORT_FORWARD_SILENT:
    'Choose a server with port forwarding (Proton VPN: P2P, with “NAT-PMP (Port Forwarding)” on), or name another gateway; or set the provider to none.',
  ERR_PORT_FORWARD_FULL:
    'Give back a port that another device or program holds with the same key, or choose another server.',
  ERR_PORT_FORWARD_GATEWAY: 'It is asked again by itself; choose another server if this lasts.',
  ERR_CRYPTO_SELF_TEST: 'Reinstall the package; if it happens again, please report it.',
  ERR_WEBTORRENT_SHAPE: 'Install the versions this release was built with, or report it.',
  ERR_TORRENT: 'Check the magnet link or the .torrent file.',
  ERR_STORAGE: 'Check free space and permissions of the download folder.',
  ERR_DEMO: 'Try again on a quieter machine; if it happens again, please report it with everything above.',
  ERR_ENGINE: 'It starts again by itself; if this lasts, please report it with the log.',
  ERR_CLOSED: 'Open a new tunnel.',
  ERR_API_LISTEN:
    'If it is a Sluice daemon, “sluice status” shows it; else name another address with --listen or SLUICE_API_LISTEN.',
  ERR_API_KEY: 'Delete the file; the daemon makes a new key when it starts.',
  ERR_NO_DAEMON: 'Start one with: sluice up FILE.conf',
  ERR_NO_TUNNEL: 'Start the daemon with a configuration: sluice up FILE.conf',
  ERR_DAEMON_ANSWER: 'Check that command line and daemon are of the same release, and see the daemon’s log.',
  ERR_STOP: 'Nothing flows any more. If it happens again, please report it with the log.',
} as const;

export type ErrorCode = keyof typeof ERRORS;

export class SluiceError extends Error {
  override readonly name: string = 'SluiceError';
  readonly code: ErrorCode;
  /** What to do next, in one sentence. */
  readonly hint: string;

  /** `message` says what happened and why; it never contains a key. */
  constructor(code: ErrorCode, message: string, options: { readonly cause?: unknown; readonly hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? ERRORS[code];
  }
}
