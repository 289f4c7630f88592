/**
 * A certificate for the servers of tests, and its key: self-signed, for server.test, localhost and the addresses of the test worlds.
 * Made with: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=server.test
 */

export const KEY: string = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbr9adVFkfjofzks0
l4woLbm4p6zfs+qf+pAXOO2Ib2WhRANCAAQd1uv9l0q8bagi5hi01X3voIlUs6L2
LY4nefMXU6W8oFnpu1RenRUOviH2qnC1VwJQ4EC4MFBNViIj9QBlBOYy
-----END PRIVATE KEY-----
`;

export const CERTIFICATE: string = `-----BEGIN CERTIFICATE-----
MIIBuzCCAWCgAwIBAgIUXW8RQoa/vEhu6xR4r2PksLwUigEwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLc2VydmVyLnRlc3QwIBcNMjYxMTIwMjAzODUyWhgPMjEyNjEw
MjcyMDM4NTJaMBYxFDASBgNVBAMMC3NlcnZlci50ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEHdbr/ZdKvG2oIuYYtNV976CJVLOi9i2OJ3nzF1OlvKBZ6btU
Xp0VDr4h9qpwtVcCUOBAuDBQTVYiI/UAZQTmMqOBiTCBhjAdBgNVHQ4EFgQUl2Ow
l7S4pnFTTZjL8H9bir2LqBMwHwYDVR0jBBgwFoAUl2Owl7S4pnFTTZjL8H9bir2L
qBMwDwYDVR0TAQH/BAUwAwEB/zAzBgNVHREELDAqggtzZXJ2ZXIudGVzdIIJbG9j
YWxob3N0hwQKCQAChwQKCAAChwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQCvEsgA
nXati0I3N6LFo8unZqEllGGhaFNYeSk0mNqqDgIhAKYH8QoRkWdLthqBvp9LxnHx
rtzOtkZ1nv7SZB2ccfOI
-----END CERTIFICATE-----
`;
