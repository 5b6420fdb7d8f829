/**
 * TEST FIXTURE, not a secret: a key that anyone may have, and self-signed certificates that nothing but a test
 * trusts. For `portcullis.test`, `*.portcullis.test`, 127.0.0.1 and ::1. Made once with OpenSSL 3.0:
 *
 *     openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out key.pem
 *     openssl req -new -key key.pem -subj '/CN=Portcullis test fixture' -out request.pem
 *     openssl ca -selfsign -keyfile key.pem -in request.pem -startdate … -enddate … -notext
 *       # with basicConstraints = critical,CA:TRUE and subjectAltName = the names above
 */
export const testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPd/r013j3g6CCqkE
oNo6BZvVzNE1A0sK/JHa38tVoJShRANCAARC3elxW8gDkN5CrU5Jr5BzXxWRcAmp
cXyRul3lsiEBKHGh1QGsYdnFXQRl81mvvqsKUqTgILN7yJRzwSzwdgx5
-----END PRIVATE KEY-----
`;

/** Valid from 2020 to 2126. */
export const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBrzCCAVSgAwIBAgIBATAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdQb3J0Y3Vs
bGlzIHRlc3QgZml4dHVyZTAgFw0yMDAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAw
MFowIjEgMB4GA1UEAwwXUG9ydGN1bGxpcyB0ZXN0IGZpeHR1cmUwWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAARC3elxW8gDkN5CrU5Jr5BzXxWRcAmpcXyRul3lsiEB
KHGh1QGsYdnFXQRl81mvvqsKUqTgILN7yJRzwSzwdgx5o3kwdzAPBgNVHRMBAf8E
BTADAQH/MEUGA1UdEQQ+MDyCD3BvcnRjdWxsaXMudGVzdIIRKi5wb3J0Y3VsbGlz
LnRlc3SHBH8AAAGHEAAAAAAAAAAAAAAAAAAAAAEwHQYDVR0OBBYEFBLBr8EzwAA5
KjA6UB2DWyqlz3NpMAoGCCqGSM49BAMCA0kAMEYCIQDFgBH6Gv1cdPLdRAT4Uyzb
zRC7Oz1ByGdHdLTLe07aHgIhAK7jpmXydQ103NLry/7eXN43AuIh226xNmFZyeQH
ozxq
-----END CERTIFICATE-----
`;

/** The same, but valid in 2019 only. */
export const expiredCertificate = `-----BEGIN CERTIFICATE-----
MIIBrDCCAVKgAwIBAgIBAjAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdQb3J0Y3Vs
bGlzIHRlc3QgZml4dHVyZTAeFw0xOTAxMDEwMDAwMDBaFw0yMDAxMDEwMDAwMDBa
MCIxIDAeBgNVBAMMF1BvcnRjdWxsaXMgdGVzdCBmaXh0dXJlMFkwEwYHKoZIzj0C
AQYIKoZIzj0DAQcDQgAEQt3pcVvIA5DeQq1OSa+Qc18VkXAJqXF8kbpd5bIhAShx
odUBrGHZxV0EZfNZr76rClKk4CCze8iUc8Es8HYMeaN5MHcwDwYDVR0TAQH/BAUw
AwEB/zBFBgNVHREEPjA8gg9wb3J0Y3VsbGlzLnRlc3SCESoucG9ydGN1bGxpcy50
ZXN0hwR/AAABhxAAAAAAAAAAAAAAAAAAAAABMB0GA1UdDgQWBBQSwa/BM8AAOSow
OlAdg1sqpc9zaTAKBggqhkjOPQQDAgNIADBFAiEAsEWvUvopBxW2Qqo135EON36+
1As59SZyKIbs9iNbj0cCIHXZNAmvtdm/rKrgGSGMSA8UQnA3jirwnHdmL0b4S6PR
-----END CERTIFICATE-----
`;
