import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPolicies } from '../../../src/app/start-policies.js';
import type { Files } from './schedule.js';
import type { World } from './world.js';

/** A start as far as policies go. Answers what it should have said of the files and did not. */
export async function startWith(world: World, files: Files): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-files-'));
  try {
    await writeFile(join(folder, 'claims.yaml'), world.policyText(files));
    const control = world.stage.operator;
    const jobs = world.versions.slice(0, 1);
    const said = await startPolicies({ flagsShipped: false }, { control, flagsFolder: folder, jobs });
    if (!('drift' in said)) return `a start with ${files} files put them in force`;
    const { differing, faults } = said.drift;
    const told = faults !== null ? 'faulty' : differing.length > 0 ? 'different' : 'same';
    const is = files === 'same' || files === 'faulty' ? files : 'different';
    return told === is ? undefined : `a start with ${files} files said that they are ${told}`;
  } finally {
    await rm(folder, { recursive: true });
  }
}
