import type { Command } from 'commander';
import { voiceOf, type Context } from '../context.js';
import { instant } from '../instant.js';
import { withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { jobOption } from '../listing.js';

interface DashboardOptions {
  readonly job?: string;
  readonly region?: string;
  readonly from?: Date;
  readonly to?: Date;
}

export function addDashboards(program: Command, context: Context): void {
  const command = leaf(
    program,
    'dashboards',
    'Show the links of the Grafana dashboards, for a job, a region and a time.',
    [
      'portcullis dashboards',
      'portcullis dashboards --job domain-claim --region eu-west-1 --from 2026-03-01T09:00Z --to 2026-03-01T10:00Z',
    ],
  )
    .addOption(jobOption())
    .option('-r, --region <region>', 'only in this region')
    .option(
      '--from <time>',
      'half an hour before it is shown too; the last six hours where it is absent',
      instant,
    )
    .option('--to <time>', 'half an hour after it is shown too; until now where it is absent', instant)
    .action(async ({ from, to, ...filter }: DashboardOptions) => {
      const voice = voiceOf(context, command);
      const { items } = await withInvoke(context, 'look', (invoke) =>
        invoke('listDashboards', { ...filter, from: from?.toISOString(), to: to?.toISOString() }),
      );
      voice.result({ dashboards: items }, () =>
        items.length === 0
          ? 'No dashboards: set PORTCULLIS_GRAFANA_URL to the address of your Grafana\n'
          : voice.facts(items.map(({ title, url }) => [title, url])),
      );
    });
}
