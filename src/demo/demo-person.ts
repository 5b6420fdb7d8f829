import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { inTransaction } from '../postgres/pool.js';
import { ensurePerson } from '../access/people.js';
import { putToken } from '../access/tokens.js';

const DEMO = 'demo';

/**
 * The person of the sample world who approves what one human tries alone: whatever they approve shows for ever that no
 * second human agreed. Answers the file with their token.
 */
export async function makeDemoPerson(control: pg.Pool, home: string): Promise<string> {
  const file = join(home, 'demo-token');
  await inTransaction(control, async (client) => {
    const by = 'system:sample';
    const person = await ensurePerson(client, { name: DEMO, role: 'approver', knownBy: 'sample', by });
    const { id, token } = await putToken(client, {
      ...{ name: DEMO, role: 'approver', regions: null, person, hands: [person] },
      replaces: 'same-person',
    });
    await recordAudit(client, {
      principal: by,
      action: 'issue-token',
      subject: DEMO,
      evidence: { id, role: 'approver', regions: null, person: DEMO },
    });
    await writeFile(file, `${token}\n`, { mode: 0o600 });
  });
  return file;
}
