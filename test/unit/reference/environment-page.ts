import { z } from 'zod';
import { environmentSchema } from '../../../src/config.js';
import { code, headOf, tableOf } from './markdown.js';

/** docs/reference/environment.md: every environment variable, from the table that checks them. */
export function environmentPage(): string {
  const { properties = {} } = z.toJSONSchema(environmentSchema, { io: 'input' });
  const rows = Object.entries(properties).map(([name, schema]) => {
    if (typeof schema === 'boolean') throw new Error(`${name} has no schema`);
    const { description = '', default: fallback, enum: words } = schema;
    const absent = schema['absent'];
    return [
      code(`PORTCULLIS_${name}`),
      fallback !== undefined
        ? code(JSON.stringify(fallback).replaceAll('"', ''))
        : typeof absent === 'string'
          ? absent
          : '',
      words && !description.includes('`')
        ? `${description} One of ${words.map((word) => code(String(word))).join(', ')}.`
        : description,
    ];
  });
  return `${headOf('Environment variables', 'src/config.ts')}

All faults are reported at once. A variable that begins with \`PORTCULLIS_\` and is nearly one of these is a fault; any other gets a warning, in the log of \`start\` and \`worker\` and on standard error of other commands. What Kubernetes sets for a service whose name begins with \`portcullis\` (\`PORTCULLIS_SERVICE_HOST\`, \`PORTCULLIS_PORT=tcp://…\`) and what \`compose.yaml\` reads is ignored. What the settings do together stands in [configuration](configuration.md).

${tableOf(
  ['variable', 'without it', 'what it is'],
  [
    ...rows,
    [
      code('PORTCULLIS_DATABASE_URL_…'),
      '',
      "The owner's URL of a region's own database, under the name that the policy gives it: see [Regions on other servers](configuration.md#regions-on-other-servers).",
    ],
  ],
)}
`;
}
