/** What a page measures of itself, as `watched`: when it showed something, and which frames were late. */
export const WATCH = `
globalThis.watched = (() => {
  const now = () => performance.timeOrigin + performance.now();
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const has = (selector) => document.querySelector(selector) !== null;
  const appears = (selector) =>
    new Promise((resolve) => {
      if (has(selector)) return resolve();
      const looking = new MutationObserver(() => {
        if (!has(selector)) return;
        looking.disconnect();
        resolve();
      });
      looking.observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ['class'] });
    });
  /** Once it is painted and the page is idle enough for another task. */
  const painted = async () => {
    await frame();
    await new Promise((resolve) => setTimeout(resolve));
  };
  const seen = {};
  for (const [name, selector] of [['shell', 'header .danger'], ['gates', '[data-gate]']])
    void appears(selector).then(painted).then(() => (seen[name] = performance.now()));
  return {
    seen,
    whenThere: async (selector) => {
      await appears(selector);
      await painted();
      return now();
    },
    twoFrames: async () => {
      await frame();
      await painted();
    },
    /** A screen's height in eight frames, as by a hand on a trackpad. */
    scroll: async (element, frames, lateMs) => {
      const step = innerHeight / 8;
      let late = 0;
      let before = await frame();
      for (let at = 0; at < frames; at += 1) {
        element.scrollTop += step;
        const time = await frame();
        if (time - before > lateMs) late += 1;
        before = time;
      }
      return late;
    },
  };
})();
`;
