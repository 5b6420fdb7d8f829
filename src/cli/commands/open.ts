import type { Command } from 'commander';
import { voiceOf, type Context } from '../context.js';
import { consoleUrl, localUrl, signInLink } from '../console-link.js';
import { invokeAt, withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';

/** How long the server may take to say that it is there. */
const ANSWER_MS = 5_000;

export function addOpen(program: Command, context: Context): void {
  const command = leaf(
    program,
    'open',
    'Print a link that signs you in to the console, once, within 30 seconds.\n' +
      'You act there as with the token that you use here; the link has no token in it.',
    ['portcullis open', 'xdg-open "$(portcullis open)"'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    const { settings } = context.app;
    const server = context.server?.()?.url;
    const served = server ?? localUrl(settings);
    // A link to nowhere would expire unseen.
    await (
      await invokeAt({ url: served }, ANSWER_MS)
    )('getHealth', {});
    const { code, expiresAt } = await withInvoke(context, 'change', (invoke) =>
      invoke('createSignInCode', {}),
    );
    const url = signInLink(server ?? consoleUrl(settings, served) ?? served, code);
    voice.result({ url, expiresAt }, () => `${url}\n`);
  });
}
