import type { Installation } from '../cli/app-port.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { messageOf } from '../kernel/errors.js';
import { lockFolder, type FolderLock } from '../postgres/folder-lock.js';
import type { Log } from '../telemetry/log.js';

const LOOK_MS = 1_000;

/**
 * Minds the embedded server for the process that holds its folder by `taken`: it came along with Portcullis, so
 * nobody else starts it again when it has crashed or was killed. Until then everything is closed, as without any
 * other database. The lock is a session's, so it is lost with the server, and tells of that.
 */
export function keepEmbedded(
  { embedded, urls, home }: Pick<Installation, 'embedded' | 'urls' | 'home'>,
  taken: FolderLock,
  log: Log,
): Poller {
  let lock = taken;
  const beat = startPoller(
    LOOK_MS,
    async () => {
      if (embedded === false || lock.held()) return;
      if (await embedded.revive()) {
        log.warn({ code: 'database-revived' }, 'the embedded database was gone, and is started again');
      }
      lock = await lockFolder(urls.owner, home);
    },
    (error) => log.error({ code: 'database-gone', err: error }, `database: ${messageOf(error)}`),
    { restFirst: true },
  );
  return {
    stop: async () => {
      await beat.stop();
      await lock.release();
    },
  };
}
