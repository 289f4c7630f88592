/** What the interop tests need of the machine, and the Debian package that brings each part. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const COMMANDS = {
  ip: 'iproute2',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
  tcpdump: 'tcpdump',
  ping: 'iputils-ping',
  nft: 'nftables',
  opentracker: 'opentracker',
};

/** One sentence for each thing that is missing; empty if everything is there. */
export function missingRequirements() {
  const missing = [];
  if (process.platform !== 'linux') return ['Linux network namespaces (this is not Linux)'];
  if (process.getuid() !== 0) missing.push('root (network namespaces and TUN devices are made)');
  if (!readable('/dev/net/tun')) missing.push('/dev/net/tun');
  for (const [command, debianPackage] of Object.entries(COMMANDS)) {
    if (!onPath(command)) missing.push(`${command} (Debian package ${debianPackage})`);
  }
  if (spawnSync('/usr/bin/python3', ['-c', 'import libtorrent']).status !== 0) {
    missing.push('libtorrent for /usr/bin/python3 (Debian package python3-libtorrent)');
  }
  return missing;
}

const readable = (file) => {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
};

const onPath = (command) =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) =>
    readable(join(folder, command)),
  );
