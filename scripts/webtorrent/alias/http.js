/** `node:http` inside the bundle: a server only, whose connections come from the `net` that the factory was given. */
export const createServer = (...args) => sluiceHost.http.createServer(...args);
export default { createServer };
