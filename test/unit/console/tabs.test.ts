import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Tabs, type Said } from '../../../src/console/live/tabs.js';

/** Which tab of a browser has the one stream. What one tab says all others hear, a moment later. */

interface Tab {
  readonly id: string;
  readonly tabs: Tabs<string>;
  readonly heard: string[];
  /** A tab that is frozen hears nothing, says nothing, and its timers stand still. */
  frozen: boolean;
}

let open: Tab[] = [];
beforeEach(() => {
  jest.useFakeTimers();
  open = [];
});
afterEach(() => {
  jest.useRealTimers();
});

function tab(id: string): Tab {
  const heard: string[] = [];
  const self: Tab = {
    id,
    heard,
    frozen: false,
    tabs: new Tabs<string>({
      id,
      say: (said: Said<string>) => {
        if (self.frozen) return;
        setTimeout(() => {
          for (const other of open) if (other !== self && !other.frozen) other.tabs.hear(said);
        }, 1);
      },
      news: () => `news of ${id}`,
      heard: (news) => heard.push(news),
      begin: () => undefined,
      end: () => undefined,
    }),
  };
  open.push(self);
  return self;
}

const owners = (): string[] => open.filter(({ tabs, frozen }) => tabs.owns && !frozen).map(({ id }) => id);

/** Lets time pass; owners beat every half second, as they do in a page. */
function pass(ms: number): void {
  for (let left = ms; left > 0; left -= 500) {
    jest.advanceTimersByTime(Math.min(left, 500));
    for (const { tabs, frozen } of open) if (!frozen) tabs.beat();
  }
}

describe('the stream', () => {
  test('belongs to the first visible tab; one that comes later hears from it', () => {
    const first = tab('a');
    first.tabs.show();
    pass(1_000);
    const second = tab('b');
    second.tabs.show();
    pass(5_000);
    expect(owners()).toEqual(['a']);
    expect(second.heard).toContain('news of a');
  });

  test('belongs to one of two that open in the same moment', () => {
    tab('b').tabs.show();
    tab('a').tabs.show();
    pass(1_500);
    expect(owners()).toEqual(['a']);
    pass(10_000);
    expect(owners()).toEqual(['a']);
  });

  test('is handed over at once where its tab is hidden, and back to nobody where all are', () => {
    const first = tab('a');
    const second = tab('b');
    first.tabs.show();
    pass(1_000);
    second.tabs.show();
    pass(1_000);
    first.tabs.hide();
    pass(500);
    expect(owners()).toEqual(['b']);
    second.tabs.hide();
    pass(10_000);
    expect(owners()).toEqual([]);
    first.tabs.show();
    pass(500);
    expect(owners()).toEqual(['a']);
  });

  test('is taken from a tab that falls silent, which lets go when it comes to itself', () => {
    const first = tab('b');
    const second = tab('a');
    first.tabs.show();
    pass(1_000);
    second.tabs.show();
    pass(1_000);
    first.frozen = true;
    pass(3_500);
    expect(owners()).toEqual(['a']);
    first.frozen = false;
    pass(1_000);
    expect(owners()).toEqual(['a']);
  });
});
