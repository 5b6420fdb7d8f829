import { match, place } from '../router.js';
import { RunDetail } from './run-detail.js';
import { RunList } from './run-list.js';

/** Every run, or the one that the address names. */
export function Runs() {
  const id = match('/runs/:id', place.value.path)?.['id'];
  return id === undefined ? <RunList /> : <RunDetail key={id} id={id} />;
}
