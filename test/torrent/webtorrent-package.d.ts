declare module 'webtorrent' {
  export default class WebTorrent {
    constructor(options: object);
  }
}
