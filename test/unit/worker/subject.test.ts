import { describe, expect, test } from '@jest/globals';
import { parseSubject } from '../../../src/worker/subject.js';
import { claimEverything } from '../../support/accounts.js';

const jobs = ['claims', 'others'].map((name) => ({ definition: claimEverything(name), version: '1.0.0_a' }));

describe('a subject', () => {
  test('is of the job that is named, or of the one that has such a resource', () => {
    const row = { resource: 'account', key: 'a-17' };
    expect(parseSubject(jobs, 'others/account:a-17')).toEqual({ job: 'others', ...row });
    expect(parseSubject(jobs.slice(0, 1), 'account:a-17')).toEqual({ job: 'claims', ...row });
    // A key may have any character but NUL.
    expect(parseSubject(jobs, 'claims/account:a/17:b')).toEqual({
      ...{ job: 'claims', resource: 'account' },
      key: 'a/17:b',
    });
    expect(parseSubject(jobs.slice(0, 1), 'account:a/17:b')).toMatchObject({ job: 'claims', key: 'a/17:b' });
  });

  test('is refused without its job where two jobs call a table the same', () => {
    expect(() => parseSubject(jobs, 'account:a-17')).toThrow(
      expect.objectContaining({
        code: 'REQUEST_INVALID',
        message: '2 jobs change a thing called account',
        hint: 'name the job: claims/account:a-17 or others/account:a-17',
      }),
    );
  });

  test.each([
    ['acount:a', 'SUBJECT_UNKNOWN', 'did you mean account:a?'],
    ['claims/acount:a', 'SUBJECT_UNKNOWN', 'did you mean claims/account:a?'],
    ['claims/account', 'REQUEST_INVALID', 'name a resource and the key of a row, such as account:a-17'],
  ])('%s is refused with what is meant', (text, code, hint) => {
    expect(() => parseSubject(jobs, text)).toThrow(expect.objectContaining({ code, hint }));
  });
});
