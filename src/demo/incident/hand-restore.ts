import type pg from 'pg';
import { inTransaction } from '../../postgres/pool.js';

/**
 * What a careful team does without a journal: the rows that the job has written since the faulty version
 * shipped are put back as the latest nightly snapshot has them, and accounts that are younger than it are
 * given back to their users. What anybody else did to those rows since the night is not in the snapshot. Answers
 * how many rows it wrote.
 */
export async function restoreByHand(owner: pg.Pool, shippedAt: Date): Promise<number> {
  return inTransaction(owner, async (client) => {
    const older = await client.query(
      `update directory.account a
       set (email, email_verified, kind, home_region, state, organisation_id, claimed_domain_id, claimed_at,
            selected_by, deactivated_at, deleted_at)
         = (n.email, n.email_verified, n.kind, n.home_region, n.state, n.organisation_id, n.claimed_domain_id,
            n.claimed_at, n.selected_by, n.deactivated_at, n.deleted_at)
       from replay.nightly_account n
       where n.id = a.id and a.claimed_at >= $1`,
      [shippedAt],
    );
    const younger = await client.query(
      `update directory.account a
       set state = 'UNMANAGED', organisation_id = null, claimed_domain_id = null, claimed_at = null
       where a.claimed_at >= $1 and not exists (select from replay.nightly_account n where n.id = a.id)`,
      [shippedAt],
    );
    const domains = await client.query(
      `update directory.domain d
       set (state, request_id, verified_at, proof, proof_seen_at, check_started_at, checked_at, check_count,
            next_check_at, absent_at, absent_again_at, at_risk_since)
         = (n.state, n.request_id, n.verified_at, n.proof, n.proof_seen_at, n.check_started_at, n.checked_at,
            n.check_count, n.next_check_at, n.absent_at, n.absent_again_at, n.at_risk_since)
       from replay.nightly_domain n
       where n.id = d.id and d.checked_at >= $1`,
      [shippedAt],
    );
    return [older, younger, domains].reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0);
  });
}
