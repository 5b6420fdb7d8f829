import { z } from 'zod';
import { DATABASE_VARIABLE } from './policy-places.js';
import { distinct, name, onAnyArray } from './policy-values.js';

const MOST = 100;

const list = z
  .array(name('region'))
  .min(1)
  .max(MOST)
  .refine((regions) => distinct(regions, (region) => region), {
    message: 'names a region twice',
    ...onAnyArray,
  });

const region = z.strictObject({
  database: z
    .string()
    .regex(
      DATABASE_VARIABLE,
      'is not the name of a variable such as PORTCULLIS_DATABASE_URL_EU_CENTRAL; the address itself stands in the environment',
    )
    .optional()
    .meta({
      description:
        "The environment variable that holds the address of this region's database; without it, the region stands in the control plane's.",
    }),
});

const map = z
  .record(name('region'), region)
  .refine((regions) => Object.keys(regions).length > 0, { message: 'must name at least 1 region' })
  .refine((regions) => Object.keys(regions).length <= MOST, { message: `must be at most ${MOST} long` });

/** The regions of a policy: a list, or a map where some have a database of their own. */
export const regionsDocument = z.union([list, map]);

/** A job and where its regions are. */
interface Placed {
  readonly job: string;
  readonly databases?: Readonly<Record<string, string>>;
  readonly regions: readonly string[];
}

/** A region that one job places in another database than an earlier one does. */
export interface Displaced {
  readonly job: string;
  readonly region: string;
  readonly message: string;
}

/** Every region has one database, whatever the job: its gates, its runs and its tables are in one transaction. */
export function displacedRegions(policies: readonly Placed[]): Displaced[] {
  const first = new Map<string, { readonly job: string; readonly database: string | undefined }>();
  return policies.flatMap(({ job, regions, databases = {} }) =>
    regions.flatMap((each): Displaced[] => {
      const database = databases[each];
      const earlier = first.get(each);
      if (!earlier) first.set(each, { job, database });
      if (!earlier || earlier.database === database) return [];
      const message = `is in ${placeText(database)}, and for ${earlier.job} in ${placeText(earlier.database)}: a region has one database`;
      return [{ job, region: each, message }];
    }),
  );
}

function placeText(variable: string | undefined): string {
  return variable === undefined ? "the control plane's database" : `the database of ${variable}`;
}
