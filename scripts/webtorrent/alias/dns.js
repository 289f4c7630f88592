/** `node:dns` inside the bundle: what the factory was given, read at each call. */
export const lookup = (...args) => sluiceHost.dns.lookup(...args);
export default { lookup };
