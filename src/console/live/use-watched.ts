import { useEffect, useMemo } from 'preact/hooks';
import { watch, type Watched, type WatchOptions } from './watched.js';

/** Reads something while a screen shows it; of another `key` it is something else. */
export function useWatched<T>(key: string, options: WatchOptions<T>): Watched<T> {
  const watched = useMemo(() => watch(options), [key]);
  useEffect(() => () => watched.stop(), [watched]);
  return watched;
}
