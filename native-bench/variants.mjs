/** The ways to run the tunnel that this build and this machine have. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromDist } from './dist.mjs';

export async function findVariants(dist) {
  const engines = existsSync(join(dist, 'node/engine-choice.js')) ? ['worker', 'inline'] : ['inline'];
  const found = [];
  const notShown = [];
  const problem = await udpProblem(dist);
  for (const engine of ['worker', 'inline'])
    for (const udp of ['ffi', 'dgram']) {
      const name = `${engine}, ${udp}`;
      if (!engines.includes(engine)) notShown.push({ name, why: 'this build has no engine on a worker' });
      else if (udp === 'ffi' && problem) notShown.push({ name, why: problem });
      else found.push({ name, env: { SLUICE_ENGINE: engine, SLUICE_UDP: udp } });
    }
  return { found, notShown };
}

/** Why the port on system calls cannot be had; `undefined` if it can. */
async function udpProblem(dist) {
  try {
    const { selectUdp } = await fromDist(dist, 'node/udp/select.js');
    selectUdp({ prefer: 'ffi' });
    return undefined;
  } catch (error) {
    return error.message;
  }
}
