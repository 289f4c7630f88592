/* Stands for native uTP: WebTorrent takes a module without members to mean that it is not supported. */
module.exports = {};
