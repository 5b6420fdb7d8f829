/** What the tour shows, act by act: the terminal plays it, and the console's page beside it shows the same. */

export interface Act {
  readonly id: string;
  readonly title: string;
  /** Why it matters, in two sentences at most. */
  readonly text: string;
  /** The commands that do the same; `{…}` is filled in when the act is played. */
  readonly commands: readonly string[];
  /** Where the console shows it. */
  readonly view: string;
}

export const JOB = 'domain-claim';
export const CANARY = 'eu-west-1';
/** Off in a new sample world. */
export const OFF = 'ap-northeast-1';

export const ACTS: readonly Act[] = [
  {
    id: 'policy',
    title: 'A policy for a demonstration',
    text: 'Bakes take hours in the shipped policy. This one is the same with bakes of seconds, and without the hours in which nothing is promoted.',
    commands: ['portcullis flags apply .portcullis/tour/guarded'],
    view: '/flags/domain-claim/eu-west-1',
  },
  {
    id: 'region',
    title: 'Regions are turned on',
    text: 'Deploying is not activating: the job is installed everywhere, and writes nothing in a region while its flag is off, or on and held.',
    commands: [
      `portcullis flags set ${JOB} --region ${OFF} --on --version {stable} --share 100% --reason "the tour"`,
      `portcullis run ${JOB} --region ${OFF}`,
    ],
    view: `/now/${JOB}/${OFF}`,
  },
  {
    id: 'good',
    title: 'A good version is rolled out through all waves',
    text: 'A new version starts at zero. It gets a canary, then two regions that a second person lets it into, then the rest: each on evidence of runs, changes and time.',
    commands: [
      `portcullis rollout start ${JOB} --version {good} --reason "the tour"`,
      `portcullis rollout approve ${JOB}`,
      `portcullis rollout status ${JOB}`,
    ],
    view: `/rollouts/${JOB}`,
  },
  {
    id: 'stopped',
    title: 'A faulty version is stopped before it writes',
    text: 'It has the fault of February 2021: it claims accounts for organisations that never asked. Its plan is judged before its first write, and breaks what must hold.',
    commands: [
      `portcullis rollout start ${JOB} --version {faulty} --reason "the tour"`,
      'portcullis run show {stoppedRun}',
    ],
    view: '/runs/{stoppedRun}',
  },
  {
    id: 'logins',
    title: 'Another is stopped by logins that fail',
    text: 'The same fault, as if nobody had written down what must hold. It writes in its canary; products report users who cannot log in, and after a few organisations the gate is killed.',
    commands: [
      'portcullis flags apply .portcullis/tour/outcomes-alone',
      `portcullis rollout start ${JOB} --version {silent} --reason "the tour"`,
      'curl -X POST $PORTCULLIS_URL/api/v1/outcomes -H "authorization: Bearer $PORTCULLIS_TOKEN" -d @outcomes.json',
    ],
    view: '/incidents/{incident}',
  },
  {
    id: 'impact',
    title: 'Whom it has hurt',
    text: 'The incident opened by itself, with the runs, the organisations, the products and a runbook.',
    commands: ['portcullis incident show {incident}', 'portcullis impact {incident}'],
    view: '/incidents/{incident}',
  },
  {
    id: 'restore',
    title: 'What it wrote is put back',
    text: 'The journal has every row as it was. Rows that somebody has changed since are reported, never overwritten.',
    commands: ['portcullis restore {incident} --reason "the tour"'],
    view: '/incidents/{incident}',
  },
  {
    id: 'rearm',
    title: 'A second person re-arms the gate',
    text: 'A kill latches: no schedule, restart or flag opens the gate again. One person asks and another agrees; here that is demo, and the record says for ever that no second human did.',
    commands: [
      `portcullis rearm ${JOB} --region ${CANARY} --reason "restored"`,
      'portcullis approve {request} --reason "restored"',
    ],
    view: '/inbox/{request}',
  },
  {
    id: 'audit',
    title: 'All of it is on record',
    text: 'Every decision is in a log in which each entry seals the one before it. One command verifies that none was changed, removed or inserted.',
    commands: ['portcullis audit verify'],
    view: '/record',
  },
];

/** The commands of an act with what is known by now. */
export function commandsOf({ commands }: Act, names: Readonly<Record<string, string>>): string[] {
  return commands.map((command) => filled(command, names));
}

export function filled(text: string, names: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => names[name] ?? whole);
}
