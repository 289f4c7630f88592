/** How much memory all connections of a tunnel may take together: a share of what the machine, or the container, has. */

import { totalmem } from 'node:os';
import { DEFAULT_TCP_SETTINGS, type TcpSettings } from '../core/netstack/tcp/settings.ts';

const MIB = 1024 * 1024;
/** For each direction. Both together are an eighth, since the application has the same bytes once more on their way to the disk. */
const SHARE = 1 / 16;
/** 256 MiB are 16 connections at full speed over 130 ms; nobody gains from more. */
const MOST = 256 * MIB;
/** The first windows of 200 peers fit in it. */
const LEAST = 16 * MIB;

/** Bytes that this process may use: what a cgroup or the machine sets, whichever is less. */
export function availableMemory(): number {
  // Without a limit Node says 0, undefined or a number beyond all machines, by its version.
  const constrained = process.constrainedMemory() ?? 0;
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** Receive windows and what is held out of order, and send buffers, in bytes; and the first credit to write, of which 256 fit in. */
export function tcpBudgets(available: number): Pick<TcpSettings, 'receiveBudget' | 'sendBudget' | 'sendBufferStart'> {
  const budget = Math.max(LEAST, Math.min(MOST, Math.floor(available * SHARE)));
  return {
    receiveBudget: budget,
    sendBudget: budget,
    sendBufferStart: Math.min(DEFAULT_TCP_SETTINGS.sendBufferStart, Math.floor(budget / 256)),
  };
}
