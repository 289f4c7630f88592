/** For each unhappy state one sentence that a person can act on, as data. */

/** As in the status snapshot: `message` says what is the case, `hint` what to do. */
export interface Explanation {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** `{name}` is filled in from the details. */
export const SENTENCES = {
  starting: {
    message: 'The VPN server has not answered yet; nothing flows until it does.',
    hint: 'Wait a moment; if this stays, check Endpoint and the keys, and that outgoing UDP is allowed.',
  },
  silent: {
    message: 'The VPN server has not answered for {seconds} seconds.',
    hint: 'Sluice keeps trying and resumes by itself; if this stays, try another server, and check that outgoing UDP is allowed.',
  },
  unanswered: {
    message: 'The VPN server has not answered any handshake so far.',
    hint: 'Check Endpoint, the keys and PresharedKey, and that outgoing UDP is allowed; the provider may have revoked the key.',
  },
  stale: {
    message: 'The latest handshake with the VPN server is more than {seconds} seconds old.',
    hint: 'Sluice keeps trying and resumes by itself; if this stays, try another server.',
  },
  degraded: {
    message:
      'The VPN server has not answered a handshake for {seconds} seconds; the old session still carries traffic.',
    hint: 'Nothing yet: Sluice keeps trying, and pauses everything if the session ends.',
  },
  leak: {
    message: 'The exit address is {observed}, which is none of the VPN’s ({expected}); everything is paused.',
    hint: 'If your provider uses this address, run `sluice probe --accept`; if not, check the configuration before anything else.',
  },
  'leak-ignored': {
    message:
      'The exit address is {observed}, which is none of the VPN’s ({expected}); the killswitch is off, so traffic flows.',
    hint: 'Switch the killswitch on, or run `sluice probe --accept` if your provider uses this address.',
  },
  'leak-warned': {
    message:
      'The exit address is {observed}, which is none of the VPN’s ({expected}); traffic flows, since mismatches only warn.',
    hint: 'If your provider uses this address, run `sluice probe --accept`; if not, set probe.on_mismatch to pause.',
  },
  'probe-unknown': {
    message: 'The {family} exit address cannot be checked: {why}.',
    hint: 'Nothing is held back for this. Name other servers in probe.urls if the provider filters these; leave IPv6 out if it has none.',
  },
  'state-unreadable': {
    message:
      'What was known about leaks before the restart cannot be read; everything is paused until a probe is clean.',
    hint: 'Wait for the probe, or run `sluice probe --accept`; then check the disk that holds the state folder.',
  },
  user: {
    message: 'The VPN is switched off; nothing flows.',
    hint: 'Switch it on when you want transfers to go on.',
  },
  'no-route': {
    message: 'This host has no network connection to the VPN server.',
    hint: 'Connect the network; Sluice goes on by itself as soon as there is a route.',
  },
  'shared-key': {
    message: 'Another device seems to use the same WireGuard key: sessions are cut again and again.',
    hint: 'Switch the other device off, or get a .conf with a key of its own for each device.',
  },
} as const;

export type SentenceCode = keyof typeof SENTENCES;

/** The sentence with its details filled in. */
export function explain(code: SentenceCode, details: Readonly<Record<string, string | number>> = {}): Explanation {
  const { message, hint } = SENTENCES[code];
  return {
    code,
    message: message.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? 'unknown')),
    hint,
  };
}
