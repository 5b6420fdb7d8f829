import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import express, { type Request, type Router } from 'express';
import { z } from 'zod';
import { recordRefusal } from '../access/refusals.js';
import { requireMay } from '../access/roles.js';
import { principalOfSlack, takeOnce } from '../access/slack-people.js';
import type { TokenHolder } from '../access/tokens.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';
import { findNotice } from '../notify/browse.js';
import type { OutgoingNotice } from '../notify/message.js';
import { escaped } from '../notify/message.js';
import type { Receiver } from '../notify/receivers.js';
import { noteSlackMessage, updateSlackMessage } from '../notify/slack-messages.js';
import { callSlack, killModal, SLACK_ACTIONS } from '../notify/slack.js';
import type { OperationContext } from '../operations/context.js';
import { OPERATIONS } from '../operations/list.js';
import { partsOf, type Operation } from '../operations/operation.js';
import { exchangeOf } from './exchange.js';
import { knownError } from './problem.js';

/** A receiver that is a Slack app. */
type SlackApp = Extract<Receiver, { kind: 'slack' }>;

export interface SlackOptions {
  readonly apps: readonly SlackApp[];
  readonly publicUrl: string | undefined;
  /** The longest that one call of Slack may take. */
  readonly timeoutMs: number;
}

const BODY_LIMIT_BYTES = 256 * 1024;
/** A request that is older, or from later, is refused, as Slack's documentation asks. */
const WINDOW_S = 300;
const PATH = '/interactions';

const Id = z.string().min(1).max(40);
const Who = {
  // An app that a whole organisation has installed is in no workspace.
  team: z.object({ id: Id }).nullish(),
  enterprise: z.object({ id: Id }).nullish(),
  // Somebody of another workspace, in a shared channel, is a user of that one.
  user: z.object({ id: Id, team_id: Id.optional() }),
};
const Place = z.object({ notice: z.guid(), channel: Id, ts: z.string().min(1).max(40) });
const Interaction = z.discriminatedUnion('type', [
  z.object({
    ...{ ...Who, type: z.literal('block_actions'), trigger_id: z.string().max(500) },
    container: z.object({ channel_id: Id, message_ts: z.string().min(1).max(40) }).optional(),
    actions: z.array(z.object({ action_id: z.string(), value: z.string().max(2_000).optional() })).min(1),
  }),
  z.object({
    ...{ ...Who, type: z.literal('view_submission') },
    view: z.object({
      callback_id: z.string(),
      private_metadata: z.string().max(3_000),
      state: z.object({
        values: z.record(z.string(), z.record(z.string(), z.object({ value: z.string().nullish() }))),
      }),
    }),
  }),
]);
type Interaction = z.output<typeof Interaction>;

/** Where in Slack somebody pressed a button, and of which notice. */
interface Pressed extends z.output<typeof Place> {
  readonly app: SlackApp;
  readonly user: string;
  readonly team: string;
}

/**
 * What Slack sends when somebody presses a button of a notice: `POST /slack/interactions`. A request counts when its
 * signature over the raw body is right, is not five minutes old, and was not taken before by any process. Slack waits three
 * seconds, so it is answered first; what came of it is told in Slack.
 */
export function slackRouter(context: OperationContext, options: SlackOptions): Router {
  const router = express.Router({ caseSensitive: true });
  const raw = express.raw({ limit: BODY_LIMIT_BYTES, type: () => true });
  router.post(PATH, raw, async (request, response) => {
    exchangeOf(request).route = `/slack${PATH}`;
    const apps = signers(request, options.apps);
    const interaction = interactionIn(request.body as Buffer);
    const signature = createHash('sha256')
      .update(request.get('x-slack-signature') ?? '')
      .digest();
    if (!(await takeOnce(context.control, signature))) throw refused('it was taken before');
    response.status(200).end();
    if (interaction === undefined) return;
    await act(context, options, apps, interaction).catch((error: unknown) => {
      context.log.error({ code: 'slack-failed', err: error }, `Slack: ${messageOf(error)}`);
    });
  });
  router.all(PATH, (request, response) => {
    exchangeOf(request).route = `/slack${PATH}`;
    response.set('allow', 'POST');
    throw new PortcullisError('METHOD_NOT_ALLOWED', `this address does not take ${request.method}`, {
      hint: 'it takes POST',
    });
  });
  return router;
}

function refused(why: string): PortcullisError {
  return new PortcullisError('SLACK_REFUSED', `this is no request of Slack: ${why}`, {
    hint: "compare the signing secret in the receivers file's variable with the app's, and this machine's clock",
  });
}

/** The apps whose secret signed the request. Throws SLACK_REFUSED where there is none, or it is too old. */
function signers(request: Request, apps: readonly SlackApp[]): readonly SlackApp[] {
  const body: unknown = request.body;
  const sentAt = request.get('x-slack-request-timestamp') ?? '';
  const given = Buffer.from(request.get('x-slack-signature') ?? '');
  if (!Buffer.isBuffer(body) || !/^\d{1,12}$/.test(sentAt)) throw refused('it is not signed');
  if (Math.abs(Date.now() / 1_000 - Number(sentAt)) > WINDOW_S)
    throw refused('its time is more than 5 minutes off');
  const signed = apps.filter(({ signingSecret }) => {
    const hmac = createHmac('sha256', signingSecret).update(`v0:${sentAt}:`).update(body);
    const right = Buffer.from(`v0=${hmac.digest('hex')}`);
    return right.length === given.length && timingSafeEqual(right, given);
  });
  if (signed.length === 0) throw refused('its signature is wrong');
  return signed;
}

/** Undefined for what is signed and no button or form of ours. */
function interactionIn(body: Buffer): Interaction | undefined {
  const payload = new URLSearchParams(body.toString('utf8')).get('payload') ?? '';
  try {
    return Interaction.safeParse(JSON.parse(payload)).data;
  } catch {
    return undefined;
  }
}

async function act(
  context: OperationContext,
  options: SlackOptions,
  apps: readonly SlackApp[],
  interaction: Interaction,
): Promise<void> {
  const installed = interaction.team?.id ?? interaction.enterprise?.id ?? '';
  const team = interaction.user.team_id ?? installed;
  const placed = placeOf(interaction);
  const app = apps.find((each) => each.team === installed && each.channel === placed?.channel);
  if (app === undefined || placed === undefined) return;
  const pressed: Pressed = { ...placed, app, team, user: interaction.user.id };
  try {
    await carryOut(context, options, pressed, interaction);
  } catch (thrown) {
    const error = knownError(thrown);
    if (error.code === 'INTERNAL')
      context.log.error({ code: 'slack-failed', err: thrown }, messageOf(thrown));
    await recordRefusal(context.control, thrown);
    // Somebody else decided, or nobody in time: the message says so from now on.
    if (error.code === 'APPROVAL_DECIDED' || error.code === 'APPROVAL_EXPIRED')
      await update(context, options, pressed, []);
    await say(
      context,
      options,
      pressed,
      `${error.message}${error.hint === undefined ? '' : `\n${error.hint}`}`,
    );
  }
}

function placeOf(interaction: Interaction): z.output<typeof Place> | undefined {
  try {
    if (interaction.type === 'view_submission')
      return Place.parse(JSON.parse(interaction.view.private_metadata));
    const [{ value = '' } = {}] = interaction.actions;
    const { channel_id: channel, message_ts: ts } = interaction.container ?? {};
    return Place.parse({ ...(JSON.parse(value) as object), channel, ts });
  } catch {
    return undefined;
  }
}

async function carryOut(
  context: OperationContext,
  options: SlackOptions,
  pressed: Pressed,
  interaction: Interaction,
): Promise<void> {
  const { control } = context;
  const caller = await principalOfSlack(control, pressed);
  const notice = await findNotice(control, pressed.notice);
  if (interaction.type === 'view_submission') {
    const reason = Object.values(interaction.view.state.values)[0]?.['reason']?.value ?? '';
    await kill(context, caller, notice, reason);
    const where = notice.region === null ? 'everywhere' : `in ${notice.region}`;
    await update(context, options, pressed, [
      `⛔ ${caller.person?.name ?? caller.name} killed ${notice.job ?? ''} ${where}: ${reason}`,
    ]);
    return;
  }
  const [{ action_id: action }] = interaction.actions as [{ action_id: string }];
  if (action === SLACK_ACTIONS.kill) {
    // Whoever may not is told so before they write a reason.
    requireMay(caller, 'kill', notice.region ?? undefined);
    const { notice: id, channel, ts } = pressed;
    const view = killModal(notice, JSON.stringify({ notice: id, channel, ts }));
    await tell(context, options, pressed.app, 'views.open', { trigger_id: interaction.trigger_id, view });
    return;
  }
  const request = notice.details['request'];
  if ((action !== SLACK_ACTIONS.approve && action !== SLACK_ACTIONS.reject) || typeof request !== 'string')
    return;
  const name = action === SLACK_ACTIONS.approve ? 'approve' : 'reject';
  await answer(context, caller, OPERATIONS[name], {
    id: request,
    reason: 'decided in Slack',
  });
  await update(context, options, pressed, []);
}

async function kill(
  context: OperationContext,
  caller: TokenHolder,
  { job, region }: OutgoingNotice,
  reason: string,
): Promise<void> {
  if (job === null) return;
  const order = { job, reason, ...(region !== null && { region }) };
  await answer(context, caller, OPERATIONS.killJob, order);
}

/** The operation as any other way to it has it: with its permissions, its refusals and its record. */
async function answer(
  context: OperationContext,
  caller: TokenHolder,
  operation: Operation,
  input: object,
): Promise<void> {
  await operation.answer(context, { ...partsOf(operation, input), caller });
}

/** Makes the message say what became of its request, and what was done from it. */
async function update(
  { control, log }: OperationContext,
  { publicUrl, timeoutMs }: SlackOptions,
  { app, notice, channel, ts }: Pressed,
  done: readonly string[],
): Promise<void> {
  const message = { notice, receiver: app.name, channel, ts };
  await noteSlackMessage(control, message, done);
  const limits = { publicUrl, timeoutMs, signal: AbortSignal.timeout(timeoutMs) };
  const taken = await updateSlackMessage(control, app, message, limits);
  if (!taken.taken) log.warn({ code: 'slack-untold' }, `Slack: ${taken.problem}`);
}

/** Says something to whoever pressed the button, and to nobody else. */
async function say(
  context: OperationContext,
  options: SlackOptions,
  { app, channel, user }: Pressed,
  text: string,
): Promise<void> {
  await tell(context, options, app, 'chat.postEphemeral', {
    channel,
    user,
    text: shorten(escaped(text), 3_000),
  });
}

async function tell(
  { log }: OperationContext,
  { timeoutMs }: SlackOptions,
  app: SlackApp,
  method: Parameters<typeof callSlack>[1],
  message: object,
): Promise<void> {
  const taken = await callSlack(app, method, message, { timeoutMs, signal: AbortSignal.timeout(timeoutMs) });
  if (!taken.taken) log.warn({ code: 'slack-untold' }, `Slack: ${taken.problem}`);
}
