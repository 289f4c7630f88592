throw new Error('utf-8-validate is left out on purpose: ws falls back to its JavaScript code');
