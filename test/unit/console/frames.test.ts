import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { frameReader } from '../../../src/console/live/frames.js';

const TEXT =
  'retry: 1000\n\n: current\n\nevent: change\ndata: {"id":"a: b"}\n\nid: abc\n\nevent: gap\ndata: one\ndata: two\n\n';
const FRAMES = [
  { event: 'change', data: '{"id":"a: b"}', id: undefined },
  { event: 'message', data: '', id: 'abc' },
  { event: 'gap', data: 'one\ntwo', id: undefined },
];

test('frames are the same, wherever the text is cut into pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: TEXT.length })), (cuts) => {
      const read = frameReader();
      const at = [0, ...cuts.sort((one, other) => one - other), TEXT.length];
      const frames = at.slice(1).flatMap((end, index) => read(TEXT.substring(at[index] ?? 0, end)));
      expect(frames).toEqual(FRAMES);
    }),
  );
});
