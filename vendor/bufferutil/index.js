throw new Error('bufferutil is left out on purpose: ws falls back to its JavaScript code');
