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

/** Does what is still to be done, the newest first. */
export async function end(): Promise<void> {
  for (const ending of [...endings].reverse()) {
    endings.delete(ending);
    try {
      await ending();
    } catch (error) {
      process.stderr.write(`bench: cleaning up: ${String(error)}\n`);
    }
  }
}
