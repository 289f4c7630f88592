/** `cross-fetch-ponyfill` inside the bundle. The original falls back to the host's own `fetch`; this one never does. */
export const fetch = (...args) => sluiceHost.fetch(...args);
export default fetch;
