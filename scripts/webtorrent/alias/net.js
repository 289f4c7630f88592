/** `node:net` inside the bundle: what the factory was given, read at each call. */
export const connect = (...args) => sluiceHost.net.connect(...args);
export const createServer = (...args) => sluiceHost.net.createServer(...args);
export const isIP = (text) => sluiceHost.isIP(text);
export default { connect, createServer, isIP };
