import { closeDialog, dialog } from './dialogs.js';
import { Dialog } from './parts/dialog.js';
import { navigate } from './router.js';
import { VIEWS } from './views.js';

interface Key {
  readonly keys: readonly string[];
  readonly does: string;
}

const KEYS: readonly Key[] = [
  { keys: ['Ctrl', 'K'], does: 'Find a gate, a screen or an act' },
  { keys: ['/'], does: 'Search on this screen' },
  { keys: ['k'], does: 'Kill: choose what, and say why' },
  ...VIEWS.map(({ key, title }) => ({ keys: ['g', key], does: `Go to ${title}` })),
  { keys: ['←', '↑', '↓', '→'], does: 'Move between gates' },
  { keys: ['Enter'], does: 'Open the gate' },
  { keys: ['Esc'], does: 'Close what is open' },
  { keys: ['?'], does: 'Show these keys' },
];

export function KeysDialog() {
  return (
    <Dialog title="Keys" onClose={closeDialog}>
      <div class="dialog-body">
        <table class="keys">
          <tbody>
            {KEYS.map(({ keys, does }) => (
              <tr key={does}>
                <th scope="row">
                  {keys.map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </th>
                <td>{does}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Dialog>
  );
}

/** How long `g` waits for the letter of a screen. */
const SECOND_KEY_MS = 1_500;
let goUntilMs = 0;

/** The keys that work everywhere, but for where something is being typed. */
export function onKeyDown(event: KeyboardEvent): void {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    dialog.value ??= { kind: 'palette' };
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || dialog.value !== null || isTyping(event.target))
    return;
  if (Date.now() < goUntilMs) {
    goUntilMs = 0;
    const view = VIEWS.find(({ key }) => key === event.key);
    if (view === undefined) return;
    event.preventDefault();
    navigate(view.patterns[0]);
    return;
  }
  switch (event.key) {
    case '?':
      dialog.value = { kind: 'keys' };
      break;
    case 'k':
      dialog.value = { kind: 'kill' };
      break;
    case 'g':
      goUntilMs = Date.now() + SECOND_KEY_MS;
      break;
    case '/':
      document.querySelector<HTMLElement>('#find')?.focus();
      break;
    default:
      return;
  }
  event.preventDefault();
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
