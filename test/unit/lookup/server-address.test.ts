import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatServerAddress, parseServerAddress } from '../../../src/lookup/server-address.js';

describe('a server’s address', () => {
  test.each([
    ['127.0.0.1:5353', { host: '127.0.0.1', port: 5353, family: 4 }],
    ['127.0.0.1', { host: '127.0.0.1', port: 53, family: 4 }],
    ['[::1]:53', { host: '::1', port: 53, family: 6 }],
    ['[::1]', { host: '::1', port: 53, family: 6 }],
    ['2001:db8::1', { host: '2001:db8::1', port: 53, family: 6 }],
  ])('%s is read', (text, address) => {
    expect(parseServerAddress(text)).toEqual(address);
  });

  test.each([
    '',
    'dns.example',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '127.0.0.1:',
    '[127.0.0.1]:53',
    '[::1',
    '1.2.3',
    'x:53',
    '127.0.0.1:53 ',
  ])('%j is none', (text) => {
    expect(parseServerAddress(text)).toBeUndefined();
  });

  test('is written the way it is read', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        const family = host.includes(':') ? 6 : 4;
        expect(parseServerAddress(formatServerAddress({ host, port, family }))).toEqual({
          host,
          port,
          family,
        });
      }),
    );
  });
});
