import { expect, test } from '@jest/globals';
import { remembered } from '../../../src/jobs/domain-claim/remembered.js';

test('a text is read once, and again only when many others came between', () => {
  const seen: string[] = [];
  const lengthOf = remembered((text) => {
    seen.push(text);
    return text.length;
  });
  expect([lengthOf('ada'), lengthOf('ada'), lengthOf('')]).toEqual([3, 3, 0]);
  expect(seen).toEqual(['ada', '']);
  for (let other = 0; other < 20_000; other += 1) lengthOf(`other ${other}`);
  seen.length = 0;
  expect(lengthOf('ada')).toBe(3);
  expect(seen).toEqual(['ada']);
});
