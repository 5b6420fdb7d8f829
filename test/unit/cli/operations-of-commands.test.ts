import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { COMMAND_RIGHTS } from '../../../src/cli/permissions.js';
import { HERE_ALONE } from '../../../src/cli/remote.js';
import { OPERATIONS, operationList } from '../../../src/operations/list.js';
import { NO_COMMAND, NO_OPERATION, OPERATIONS_OF } from './operations-of-commands.js';

/** The operations that the code of commands names. */
async function namedInCode(): Promise<string[]> {
  const names = new Set<string>();
  for (const folder of ['src/cli', 'src/jobs/directory']) {
    for (const file of await readdir(folder, { recursive: true })) {
      if (!file.endsWith('.ts')) continue;
      const text = await readFile(join(folder, file), 'utf8');
      for (const [, name = ''] of text.matchAll(/'(\w+)'/g)) {
        if (name in OPERATIONS) names.add(name);
      }
    }
  }
  return [...names].sort();
}

const offered = new Set<string>(Object.values(OPERATIONS_OF).flat());

describe('the command line and the operations', () => {
  test('have each operation as a command, or a reason why not', () => {
    const names = operationList.map(([name]) => name);
    expect(names.filter((name) => offered.has(name) === name in NO_COMMAND)).toEqual([]);
  });

  test('have each command as operations, or a reason why not', () => {
    const without = { ...NO_OPERATION, ...HERE_ALONE };
    expect(Object.keys({ ...OPERATIONS_OF, ...without }).sort()).toEqual(Object.keys(COMMAND_RIGHTS).sort());
    expect(Object.keys(OPERATIONS_OF).filter((path) => path in without)).toEqual([]);
  });

  test('take the same permission', () => {
    for (const [path, [name]] of Object.entries(OPERATIONS_OF)) {
      const right = (COMMAND_RIGHTS as Readonly<Record<string, string>>)[path];
      const { action } = OPERATIONS[name];
      expect([path, right]).toEqual([path, action]);
    }
  });

  test('are what the code names', async () => {
    expect(await namedInCode()).toEqual([...offered].sort());
  });
});
