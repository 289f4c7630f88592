/** Every reason for which the translator refuses a packet: the words of `Nat.drops`. */
export type NatDrop =
  /** Neither TCP, UDP nor ICMP. */
  | 'nat-protocol'
  /** The packet ends inside its transport header. */
  | 'nat-truncated'
  /** A piece of a packet: its ports are in another one. Fragments are not reassembled. */
  | 'nat-fragment'
  /** There is no public address of this family. */
  | 'nat-no-address'
  /** From outside to a port that stands for nobody. */
  | 'nat-no-binding'
  /** From outside to a port that is in use, but not by the sender (address- and port-dependent filtering, RFC 4787 §5). */
  | 'nat-filtered'
  /** The table of sessions is full, for all or for one host inside. */
  | 'nat-session-limit'
  | 'nat-ports-exhausted'
  /** An ICMP error about a packet that belongs to no session (RFC 5508 §4.1). */
  | 'nat-icmp-unmatched'
  | 'nat-icmp-checksum'
  /** An ICMP message that is neither an echo nor an error. */
  | 'nat-icmp-type';
