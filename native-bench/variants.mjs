/** The ways to run the tunnel. */
import { fromDist } from './dist.mjs';

/** The engines, each with the best port that there is; the default one first. */
export const ENGINES = ['worker', 'inline'].map((name) => ({ name, env: { SLUICE_ENGINE: name } }));

/** Engines and ports. */
export async function findVariants(dist) {
  const found = [];
  const notShown = [];
  const problem = await udpProblem(dist);
  for (const engine of ['worker', 'inline'])
    for (const udp of ['ffi', 'dgram']) {
      const name = `${engine}, ${udp}`;
      if (udp === 'ffi' && problem) notShown.push({ name, why: problem });
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
