import { messageOf } from '#dist/kernel/errors.js';

type Ending = () => Promise<void> | void;

const endings = new Set<Ending>();

/**
 * Keeps what must be done before this process ends, whether it ends well, by an error or by Ctrl-C. Answers a
 * function that does it at once instead.
 */
export function atEnd(ending: Ending): () => Promise<void> {
  endings.add(ending);
  return async () => {
    if (endings.delete(ending)) await ending();
  };
}

let ending: Promise<void> | undefined;

/** Does what is still to be done, the newest first. Whoever asks again waits for the same. */
export function end(): Promise<void> {
  ending ??= (async () => {
    for (const each of [...endings].reverse()) {
      endings.delete(each);
      try {
        await each();
      } catch (error) {
        process.stderr.write(`bench: cleaning up: ${messageOf(error)}\n`);
      }
    }
  })();
  return ending;
}
