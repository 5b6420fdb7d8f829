import { PRODUCTS } from './products.js';
import { seededRandom } from './random.js';
import type { AccountRow, ProductUseRow } from './sample-rows.js';

/** The share of accounts that each product is used by. */
const SHARE = 0.4;

/** The products that accounts are used in, drawn apart from everything else: Jira where it would be none. */
export function sampleProducts(seed: string, accounts: readonly AccountRow[]): ProductUseRow[] {
  const random = seededRandom(`products of ${seed}`);
  return accounts.flatMap(({ id }) => {
    const drawn = PRODUCTS.filter(() => random.chance(SHARE));
    const used = drawn.length > 0 ? drawn : (['Jira'] as const);
    return used.map((product) => ({ account_id: id, product }));
  });
}
