/** The core alone, in memory, on trains of packets that are encrypted beforehand: from datagram to stream bytes, and back. */

import type { Crypto } from '../core/base/crypto.ts';
import { selectCrypto } from '../node/crypto/select.ts';
import { BURST_DATAGRAMS } from './core-ends.ts';
import { SEGMENT_BYTES, type Work } from './core-recording.ts';
import { CoreTransfer } from './core-transfer.ts';
import type { Case, Effort, Metrics, Section } from './section.ts';

/** Stream bytes per case and round. */
const TRANSFER_MIB: Readonly<Record<Effort, number>> = { smoke: 2, quick: 8, full: 24 };

/** What is measured. In bursts of two packets a receiver that stretches its acknowledgements sends one per two segments, too. */
const WORKS: readonly (Work & { readonly group: string })[] = [
  { group: 'download, 1 connection', ...downloadOf(1, BURST_DATAGRAMS) },
  { group: 'download, 1 connection, an ACK per 2', ...downloadOf(1, BURST_DATAGRAMS), stretchAcks: false },
  { group: 'download, 1 connection, bursts of 2', ...downloadOf(1, 2), burst: 2 },
  { group: 'download, 200 connections, an ACK per 2', ...downloadOf(200, 2), stretchAcks: false },
  { group: 'upload, 1 connection', ...downloadOf(1, BURST_DATAGRAMS), direction: 'upload' },
];

function downloadOf(connections: number, run: number): Work {
  return { direction: 'download', connections, run, burst: BURST_DATAGRAMS, stretchAcks: true };
}

export const core: Section = {
  name: 'core',
  title: 'The core in memory, per full packet of the transfer',
  note:
    'The client’s side, no sockets: WireGuard, TCP, acknowledgements, hand-over of every byte of a recorded train. “Open” and “seal” are ' +
    'the AEAD calls in it, timed alone on packets of the same lengths, after each 2,048 of them; “other” is the rest. “× AEAD” is the whole ' +
    'against opening (sealing, for the upload) a full packet. Bursts have 32 packets; with 200 connections two of each. An ACK per 2: the ' +
    'receiver is told to acknowledge every second segment; otherwise it does so once per burst. Medians over samples of 256 packets. The ' +
    'backend is the one that a tunnel would have here (SLUICE_CRYPTO names another): two in one process would make each other slower, ' +
    'since V8 compiles for what it has met.',
  async open({ effort }) {
    const crypto = await selectCrypto();
    const cases = WORKS.map(
      (work): Case => ({
        group: work.group,
        name: crypto.name,
        run: () => transfer(crypto, work, TRANSFER_MIB[effort] << 20),
      }),
    );
    if (effort !== 'smoke') for (const { run } of cases) await run();
    return { cases };
  },
};

function transfer(crypto: Crypto, work: Work, bytes: number): Metrics {
  using moving = new CoreTransfer(crypto, work, bytes);
  const { totalNs, openNs, sealNs, answers } = moving.measure();
  return {
    'ns/packet': totalNs,
    'open ns': openNs,
    'seal ns': sealNs,
    'other ns': totalNs - openNs - sealNs,
    '× AEAD': totalNs / (work.direction === 'download' ? openNs : sealNs),
    'ACKs/packet': answers,
    'thousand packets/s': 1e6 / totalNs,
    'Gbit/s of one core': (SEGMENT_BYTES * 8) / totalNs,
  };
}
