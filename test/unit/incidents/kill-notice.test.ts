import { expect, test } from '@jest/globals';
import { killNotice } from '../../../src/containment/kill-incident.js';

const killed = (region: string) => ({
  ...{ job: 'claims', region, epoch: 2, inFlight: 0, terminated: 0, tookMs: 3, runsEnded: [] },
});
const failed = (region: string) => ({
  ...{ region, reason: 'no answer', wish: 'w', lapsesBy: '2026-03-01T10:05:00.000Z' },
});
const request = { reason: 'customers call' };

test('a kill is told with where, why, and that nothing commits any more', () => {
  const notice = killNotice(
    { job: 'claims', killed: [killed('eu')], failed: [] },
    request,
    'ann',
    'k3v7qa2m',
  );
  expect(notice).toEqual({
    ...{ kind: 'kill', job: 'claims', region: 'eu', title: 'ann killed claims in eu' },
    lines: [
      'customers call',
      'No change of it commits there any more.',
      'More: portcullis incident show k3v7qa2m',
    ],
    details: {
      ...{ incident: 'k3v7qa2m', version: null, reason: 'customers call', by: 'ann' },
      ...{ restoresToo: false, drill: false, killed: ['eu'], failed: [] },
    },
  });
});

test('a drill says so first', () => {
  const { title, details } = killNotice(
    { job: 'claims', killed: [killed('eu')], failed: [] },
    { ...request, drill: true },
    'ann',
    'k3v7qa2m',
  );
  expect([title, details?.['drill']]).toEqual(['Drill: ann killed claims in eu', true]);
});

test('of several regions it names those that were reached, and for the others what is to be expected', () => {
  const report = { job: 'claims', killed: [killed('us'), killed('eu')], failed: [failed('ap')] };
  const { region, title, lines } = killNotice(
    report,
    { ...request, version: '1.1.0_0a', restoresToo: true },
    'ann',
    'k3v7qa2m',
  );
  expect(region).toBeUndefined();
  expect(title).toBe('ann killed claims 1.1.0_0a in eu, us');
  expect(lines?.[1]).toBe('No change of it commits there any more, and no restore.');
  expect(lines?.[2]).toMatch(
    /^claims 1\.1\.0_0a in ap could not be killed yet: no answer; share revoked; .*2026-03-01T10:05.*; the gate stays open for other versions; /,
  );
});

test('a kill that has reached nothing yet does not say that it has', () => {
  const { title, lines } = killNotice(
    { job: 'claims', killed: [], failed: [failed('ap'), failed('eu')] },
    request,
    'ann',
    'k3v7qa2m',
  );
  expect(title).toBe('ann wants claims killed in ap, eu');
  expect(lines?.join(' ')).not.toContain('No change of it commits');
});
