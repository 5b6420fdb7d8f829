import { expect, test } from '@jest/globals';
import { LOCKS, NAMED_LOCKS } from '../../src/postgres/locks.js';

// PostgreSQL keeps locks of one number apart from those of two.
test.each([LOCKS, NAMED_LOCKS])('no two advisory locks of one form have the same number', (table) => {
  const numbers = Object.values(table);
  expect(new Set(numbers).size).toBe(numbers.length);
});
