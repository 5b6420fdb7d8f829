import type { Output } from '../outputs.js';
import { Link, pathOf } from '../router.js';
import { Copy } from './copy.js';
import type { RunKind } from './run-bars.js';

export type Run = Output<'listRuns'>['items'][number];
export type RunState = Run['status'];

/** What a status says in a colour and a sign, beside its word. */
export const RUN_KINDS: Readonly<Record<RunState, RunKind>> = {
  planning: 'busy',
  applying: 'busy',
  succeeded: 'good',
  planned: 'good',
  held: 'idle',
  skipped: 'idle',
  refused: 'bad',
  stopped: 'bad',
  killed: 'bad',
  failed: 'bad',
};

const SIGNS = { good: '✓', bad: '✕', idle: '‖', busy: '▶' } as const;

export function RunStatus({ status }: { readonly status: RunState }) {
  const kind = RUN_KINDS[status];
  return (
    <span class={`run-status run-${kind}`}>
      <span aria-hidden="true">{SIGNS[kind]}</span> {status}
    </span>
  );
}

export const shortRun = (id: string): string => id.slice(0, 8);

/** A run's number, which leads to it. */
export function RunLink({ id, copy = false }: { readonly id: string; readonly copy?: boolean }) {
  return (
    <>
      <Link to={pathOf('runs', id)}>
        <code>{shortRun(id)}</code>
      </Link>
      {copy && <Copy text={id} what={`the id ${shortRun(id)}`} />}
    </>
  );
}

export const totalOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, each) => sum + each, 0);

export const isOver = ({ status }: Pick<Run, 'status'>): boolean => RUN_KINDS[status] !== 'busy';
