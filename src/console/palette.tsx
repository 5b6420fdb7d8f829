import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { closeDialog, dialog } from './dialogs.js';
import { overview, placesOf } from './now/overview.js';
import { Dialog } from './parts/dialog.js';
import { STATE_WORDS } from './parts/state.js';
import { navigate, pathOf } from './router.js';
import { nextTheme, setTheme, theme } from './theme.js';
import { VIEWS } from './views.js';

interface Command {
  readonly name: string;
  readonly note: string;
  run(): void;
}

const MOST = 12;

/** Finds a gate, a screen or an act by a few letters. */
export function Palette() {
  const text = useSignal('');
  const chosen = useSignal(0);
  const list = useRef<HTMLUListElement>(null);
  const commands = commandsFor(text.value);
  const at = Math.min(chosen.value, Math.max(0, commands.length - 1));
  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: 'nearest' });
  }, [at]);
  const run = (command: Command | undefined): void => {
    if (command === undefined) return;
    closeDialog();
    command.run();
  };
  return (
    <Dialog title="Find" onClose={closeDialog} className="dialog-palette">
      <div class="dialog-body">
        <input
          type="text"
          role="combobox"
          aria-label="Find a gate, a screen or an act"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={commands.length === 0 ? undefined : `palette-${at}`}
          autocomplete="off"
          autofocus
          placeholder="A job, a region, or what to do"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
            chosen.value = 0;
          }}
          onKeyDown={(event) => {
            // Of what is typed by now, which may not be drawn yet.
            const found = commandsFor(text.value);
            const now = Math.min(chosen.value, Math.max(0, found.length - 1));
            if (event.key === 'Enter') run(found[now]);
            else if (event.key === 'ArrowDown') chosen.value = Math.min(found.length - 1, now + 1);
            else if (event.key === 'ArrowUp') chosen.value = Math.max(0, now - 1);
            else return;
            event.preventDefault();
          }}
        />
        <ul id="palette-list" role="listbox" aria-label="Found" ref={list}>
          {commands.map((command, index) => (
            <li
              key={`${command.name} ${command.note}`}
              id={`palette-${index}`}
              role="option"
              aria-selected={index === at}
              onClick={() => run(command)}
            >
              <span>{command.name}</span> <span class="quiet">{command.note}</span>
            </li>
          ))}
        </ul>
        {commands.length === 0 && <p class="empty">Nothing is named so.</p>}
      </div>
    </Dialog>
  );
}

function commandsFor(text: string): Command[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const allIn = (line: string): boolean => words.every((word) => line.toLowerCase().includes(word));
  const acts: Command[] = [
    {
      name: 'Kill…',
      note: 'stop a job in a region, or everywhere',
      run: () => (dialog.value = { kind: 'kill' }),
    },
    {
      name: 'Stop everything…',
      note: 'every job, and restores',
      run: () => (dialog.value = { kind: 'kill', everything: true }),
    },
    {
      name: 'Start a rollout…',
      note: 'of a new version, by its waves',
      run: () => (dialog.value = { kind: 'start-rollout' }),
    },
    {
      name: 'Open an incident…',
      note: 'for what you have noticed; it stops nothing',
      run: () => (dialog.value = { kind: 'open-incident' }),
    },
    ...VIEWS.map(({ title, patterns }) => ({
      name: title,
      note: 'screen',
      run: () => navigate(patterns[0]),
    })),
    { name: 'Keys', note: 'what each key does', run: () => (dialog.value = { kind: 'keys' }) },
    {
      name: `Theme: ${nextTheme(theme.value)}`,
      note: `now ${theme.value}`,
      run: () => setTheme(nextTheme(theme.value)),
    },
  ].filter(({ name, note }) => allIn(`${name} ${note}`));
  // What is named so comes before what is only described so.
  acts.sort((one, other) => Number(allIn(other.name)) - Number(allIn(one.name)));
  // By name alone: that everything was stopped says every gate of itself.
  const named = placesOf(overview().data.value?.jobs).filter(
    ({ job, gate }) => words.length > 0 && allIn(`${job.job} ${gate.region}`),
  );
  const gates = named.map(({ job, gate }): Command => ({
    name: `${job.job} ${gate.region}`,
    note: STATE_WORDS[gate.state].toLowerCase(),
    run: () => navigate(pathOf('now', job.job, gate.region)),
  }));
  return [...gates, ...acts].slice(0, MOST);
}
