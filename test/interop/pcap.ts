/** Reads what tcpdump wrote: classic pcap, little-endian, microseconds (draft-ietf-opsawg-pcap). */

export interface Frame {
  /** Since 1970, by the host's clock. */
  readonly atMs: number;
  /** As captured, from the link header on. */
  readonly bytes: Buffer;
  /** On the wire, also where less was captured. */
  readonly length: number;
}

const FILE_HEADER = 24;
const FRAME_HEADER = 16;

/** The frames of a file; the last one is left out while it is still being written. */
export function readFrames(file: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = FILE_HEADER; at + FRAME_HEADER <= file.length; ) {
    const captured = file.readUInt32LE(at + 8);
    const start = at + FRAME_HEADER;
    if (start + captured > file.length) break;
    frames.push({
      atMs: file.readUInt32LE(at) * 1000 + file.readUInt32LE(at + 4) / 1000,
      bytes: file.subarray(start, start + captured),
      length: file.readUInt32LE(at + 12),
    });
    at = start + captured;
  }
  return frames;
}
