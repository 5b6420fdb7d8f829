import { createHash } from 'node:crypto';
import { z } from 'zod';
import { isPrivateUrl } from '../access/identity-file.js';
import { PortcullisError } from '../kernel/errors.js';
import { readYamlFile } from '../kernel/yaml-file.js';
import { NOTICE_KINDS, SEVERITIES, severityOf, type NoticeKind, type Severity } from './notice.js';
import type { OutgoingNotice } from './message.js';
import { PAGERDUTY_EVENTS } from './pagerduty.js';
import {
  MIN_SECRET,
  RECEIVER_KINDS,
  RECEIVER_VARIABLE,
  WEBHOOK_SECRET,
  type NotifySettings,
} from './settings.js';

/** What a receiver gets; null: all of it. */
interface Wishes {
  readonly severities: readonly Severity[] | null;
  readonly kinds: readonly NoticeKind[] | null;
  readonly jobs: readonly string[] | null;
}

/** Where notifications go. Has secrets: never shown, never logged; `targetOf` may be. */
export type Receiver = Wishes & { readonly name: string } & (
    | { readonly kind: 'webhook'; readonly url: string; readonly secret: string }
    | { readonly kind: 'pagerduty'; readonly url: string; readonly routingKey: string }
    | ({ readonly kind: 'slack' } & SlackApp)
  );

/** A Slack app in one channel of one workspace. */
export interface SlackApp {
  /** The Web API's address, with a slash at its end. */
  readonly api: string;
  readonly token: string;
  readonly signingSecret: string;
  readonly team: string;
  readonly channel: string;
}

/**
 * Whether a receiver is to get a notice. That an incident has ended, and that somebody is at work on it, PagerDuty gets of
 * each of its jobs: it ignores both of an alert that it does not have, and without them one would stay open for ever.
 */
export function takes(receiver: Receiver, notice: Pick<OutgoingNotice, 'kind' | 'job' | 'details'>): boolean {
  const { severities, kinds, jobs, kind, name } = receiver;
  if (notice.kind === 'test')
    return [undefined, name].includes(notice.details['receiver'] as string | undefined);
  if (jobs !== null && notice.job !== null && !jobs.includes(notice.job)) return false;
  if (kind === 'pagerduty' && 'moved' in notice.details) return true;
  if (kinds !== null && !kinds.some((each) => each === notice.kind)) return false;
  return severities === null || severities.includes(severityOf(notice));
}

const variable = z
  .string({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be text') })
  .regex(
    RECEIVER_VARIABLE,
    'must name a variable such as PORTCULLIS_RECEIVER_ONCALL: the file holds no secrets',
  );
const listOf = <Item extends z.ZodType>(item: Item) =>
  z.array(item).min(1, 'must not be empty; leave it out for all').readonly().nullable().default(null);
const PRIVATE = 'must be an https URL; http is for this machine alone';
const wishes = {
  name: z
    .string({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be text') })
    .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be up to 40 small letters, digits and hyphens'),
  severities: listOf(z.enum(SEVERITIES, `must be one of ${SEVERITIES.join(', ')}`)),
  kinds: listOf(z.enum(NOTICE_KINDS, `must be one of ${NOTICE_KINDS.join(', ')}`)),
  jobs: listOf(z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'must be a job such as domain-claim')),
};

const receiver = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ ...wishes, kind: z.literal('webhook'), url: variable, secret: variable }),
    z.strictObject({
      ...{ ...wishes, kind: z.literal('pagerduty'), routingKey: variable },
      url: z.string().refine(isPrivateUrl, PRIVATE).default(PAGERDUTY_EVENTS),
    }),
    z.strictObject({
      ...{ ...wishes, kind: z.literal('slack'), token: variable, signingSecret: variable },
      team: z.string().regex(/^[TE][A-Z0-9]{2,20}$/, "must be the workspace's ID, such as T0123ABCD"),
      channel: z.string().regex(/^[CG][A-Z0-9]{2,20}$/, "must be the channel's ID, such as C0123ABCD"),
      api: z
        .string()
        .refine(isPrivateUrl, PRIVATE)
        .transform((url) => (url.endsWith('/') ? url : `${url}/`))
        .default('https://slack.com/api/'),
    }),
  ],
  { error: () => `must be one of ${RECEIVER_KINDS.join(', ')}` },
);

const receiversFile = z.strictObject({
  receivers: z
    .array(receiver, { error: ({ input }) => (input === undefined ? 'is missing' : 'must be a list') })
    .max(50, 'has more than 50 receivers')
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'has a name twice'),
});

/**
 * The receivers of PORTCULLIS_RECEIVERS and of PORTCULLIS_NOTIFY_URLS. Throws CONFIG_INVALID with all faults at once, those
 * of the variables that the file names among them; no fault has a variable's value.
 */
export function readReceivers({ file, urls, secret, secrets }: NotifySettings): readonly Receiver[] {
  const faults: string[] = [];
  const { read } =
    file === undefined ? { read: { receivers: [] } } : readYamlFile(file, receiversFile, faults);
  const used = new Set<string>();
  const valueOf = (name: string, of: string, what: RegExp, must: string): string => {
    used.add(name);
    const value = secrets[name];
    if (value === undefined) faults.push(`${name} is not set: receiver ${of} needs it`);
    else if (!what.test(value)) faults.push(`${name} ${must}`);
    return value ?? '';
  };
  const named = (read?.receivers ?? []).map((each): Receiver => {
    const { name } = each;
    switch (each.kind) {
      case 'webhook': {
        const url = valueOf(each.url, name, /^https?:\/\/[^\s/]/, 'must be an http or https URL');
        if (url !== '' && !URL.canParse(url)) faults.push(`${each.url} must be an http or https URL`);
        const signs = valueOf(each.secret, name, WEBHOOK_SECRET, 'must be Base64 behind whsec_');
        if (signs !== '' && signs.length < MIN_SECRET)
          faults.push(`${each.secret} must have at least ${MIN_SECRET} characters`);
        return { ...each, url, secret: signs };
      }
      case 'pagerduty': {
        const must = 'must be an integration key of 32 letters and digits';
        return { ...each, routingKey: valueOf(each.routingKey, name, /^[A-Za-z0-9]{32}$/, must) };
      }
      case 'slack':
        return {
          ...each,
          token: valueOf(
            each.token,
            name,
            /^xoxb-[\w-]{8,}$/,
            'must be a bot token, which begins with xoxb-',
          ),
          signingSecret: valueOf(
            each.signingSecret,
            name,
            /^[0-9a-f]{32}$/,
            "must be the app's signing secret of 32 hexadecimal digits",
          ),
        };
    }
  });
  // With a file that could not be read nobody knows which variables it names.
  if (read !== undefined) {
    for (const name of Object.keys(secrets))
      if (!used.has(name))
        faults.push(`${name} is given, and no receivers file (PORTCULLIS_RECEIVERS) names it`);
  }
  if (faults.length > 0) {
    const all = [...new Set(faults)];
    throw new PortcullisError('CONFIG_INVALID', all.join('\n'), {
      hint: 'correct the file and the variables; docs/guide/notifications.md has an example',
      details: { faults: all },
    });
  }
  return [...named, ...urls.map((url) => webhookAt(url, secret))];
}

/** A webhook that gets everything. It has no name but its host, and a fingerprint of the address, which may be a secret. */
export function webhookAt(url: string, secret: string): Extract<Receiver, { kind: 'webhook' }> {
  const fingerprint = createHash('sha256').update(url).digest('hex').slice(0, 8);
  const name = `${new URL(url).host}#${fingerprint}`;
  return { name, kind: 'webhook', url, secret, severities: null, kinds: null, jobs: null };
}
