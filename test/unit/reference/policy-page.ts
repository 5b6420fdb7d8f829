import { code, headOf, sentence, tableOf } from './markdown.js';
import type { Schema } from './api-page.js';

interface PolicySchema extends Schema {
  readonly properties?: Readonly<Record<string, PolicySchema>>;
  readonly items?: PolicySchema;
  readonly anyOf?: readonly PolicySchema[];
  readonly oneOf?: readonly PolicySchema[];
  readonly additionalProperties?: PolicySchema | boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

/** docs/reference/policy.md: every key of a policy file, from its JSON schema. */
export function policyPage(schema: PolicySchema): string {
  return `${headOf('Policy keys', 'flags/policy.schema.json')}

A policy is a YAML file in \`flags/\`, one for a job. \`portcullis flags diff\` shows what an edit changes, and \`portcullis flags apply\` puts it in force; nothing else does. With the line \`# yaml-language-server: $schema=./policy.schema.json\` at its top, an editor completes and checks it. What the rules do stands in [configuration](configuration.md#the-guards-rules).

A key without a default is required, or absent where its meaning says so. \`[]\` stands for each item of a list, \`.*\` for each name of a map.

${tableOf(['key', 'type', 'default', 'meaning'], keysOf(schema, ''))}
`;
}

function keysOf(schema: PolicySchema, above: string): string[][] {
  const rows = Object.entries(schema.properties ?? {}).flatMap(([name, each]) => {
    const path = above === '' ? name : `${above}.${name}`;
    const required = schema.required?.includes(name) === true && each.default === undefined;
    const fallback =
      each.default === undefined ? (required ? 'required' : '') : code(JSON.stringify(each.default));
    return [
      [code(path), typeOf(each), fallback, each.description === undefined ? '' : sentence(each.description)],
      ...below(each, path),
    ];
  });
  // A rule that is one of several kinds: each kind's keys under its name.
  const kinds = (schema.oneOf ?? []).flatMap((each) => {
    const kind = JSON.stringify(each.properties?.['kind']?.const).replaceAll('"', '');
    return keysOf(each, `${above} (${kind})`).filter(([key = '']) => !key.endsWith(').kind`'));
  });
  return [...rows, ...kinds];
}

function below(schema: PolicySchema, path: string): string[][] {
  const map = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  return [
    ...keysOf(schema, path),
    ...(schema.items ? below(schema.items, `${path}[]`) : []),
    ...(map ? below(map, `${path}.*`) : []),
    ...(schema.anyOf ?? []).flatMap((each) => below(each, path)),
  ];
}

function typeOf(schema: PolicySchema): string {
  if (schema.const !== undefined) return code(JSON.stringify(schema.const));
  if (schema.enum !== undefined) return schema.enum.map((each) => code(String(each))).join(', ');
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(' or ');
  if (schema.oneOf !== undefined) return 'one of the kinds below';
  if (schema.type === 'array') return `list of ${schema.items ? typeOf(schema.items) : 'anything'}`;
  if (schema.type === 'object' && schema.properties === undefined) return 'map';
  if (schema.pattern?.includes('(ms|s|m|h|d)') === true) return 'duration';
  if (schema.pattern?.endsWith('%$') === true) return 'percentage';
  const range =
    schema.minimum !== undefined && schema.maximum !== undefined && schema.maximum <= 10_000_000
      ? `, ${schema.minimum} to ${schema.maximum}`
      : '';
  return `${String(schema.type ?? 'anything')}${range}`;
}
