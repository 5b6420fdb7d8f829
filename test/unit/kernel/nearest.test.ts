import { expect, test } from '@jest/globals';
import { nearest } from '../../../src/kernel/nearest.js';

const keys = ['lanes', 'batch', 'firstBatches', 'shareOfRegion'];

test.each([
  ['lane', 'lanes'],
  ['lnaes', 'lanes'],
  ['Batch', 'batch'],
  ['firstBatchs', 'firstBatches'],
  ['sharePerRegion', 'shareOfRegion'],
])('%s was meant to be %s', (word, meant) => {
  expect(nearest(word, keys)).toBe(meant);
});

test.each(['colour', '', 'x'])('nothing is near %j', (word) => {
  expect(nearest(word, keys)).toBeUndefined();
});

test('of several near ones the nearest wins', () => {
  expect(nearest('eu-west-2', ['eu-east-22', 'eu-west-1', 'us-west-2'])).toBe('eu-west-1');
});
