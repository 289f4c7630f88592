/** `node:dgram` inside the bundle: what the factory was given, read at each call. */
export const createSocket = (...args) => sluiceHost.dgram.createSocket(...args);
export default { createSocket };
