import { parse } from 'yaml';
import { z } from 'zod';
import { requireProgram } from './debian-package.js';
import { runProgram } from './program.js';

/** As Compose writes it: one line, or its parts. */
const Port = z.union([
  z.string(),
  z
    .object({ host_ip: z.string(), published: z.coerce.string(), target: z.number() })
    .transform(({ host_ip, published, target }) => `${host_ip}:${published}:${target}`),
]);

const Mount = z.union([
  z.string().transform((line) => {
    const [source = '', target = '', mode] = line.split(':');
    return { source, target, readOnly: mode === 'ro' };
  }),
  z
    .object({ source: z.string(), target: z.string(), read_only: z.boolean().default(false) })
    .transform(({ source, target, read_only }) => ({ source, target, readOnly: read_only })),
]);

const Config = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string().optional(),
      command: z.array(z.string()).default([]),
      environment: z.record(z.string(), z.string()).default({}),
      ports: z.array(Port.transform((port) => port.replace(/\/tcp$/, ''))).default([]),
      volumes: z.array(Mount).default([]),
      read_only: z.boolean().default(false),
      cap_drop: z.array(z.string()).default([]),
      security_opt: z.array(z.string()).default([]),
      healthcheck: z.object({ test: z.array(z.string()) }).optional(),
      depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
    }),
  ),
  volumes: z.record(z.string(), z.unknown()),
});

export type ComposeConfig = z.infer<typeof Config>;

/** The command that is Compose here: Docker's own plug-in, else Debian's program of before. */
async function composeCommand(): Promise<[program: string, ...args: string[]]> {
  const plugin = await runProgram('docker', ['compose', 'version']).catch(() => undefined);
  if (plugin?.exit === 0) return ['docker', 'compose'];
  return [await requireProgram('docker-compose', 'docker-compose')];
}

/** What Compose makes of a file, with these variables set; throws what it says where it does not like it. */
export async function composeConfig(
  file: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<ComposeConfig> {
  const [program, ...args] = await composeCommand();
  const { exit, stdout, stderr } = await runProgram(program, [...args, '-f', file, 'config'], {
    env: variables,
  });
  if (exit !== 0) throw new Error(stderr);
  return Config.parse(parse(stdout));
}
