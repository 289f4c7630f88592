/** The measured client, a process of its own: prints what `measureTransfer` of a build says. Argument: its options, and `dist`. */
import { fromDist } from '../dist.mjs';

const { dist, ...options } = JSON.parse(process.argv[2]);
const { measureTransfer } = await fromDist(dist, 'bench/transfer.js');
const result = await measureTransfer(options);
process.stdout.write(JSON.stringify(result), () => process.exit(0));
