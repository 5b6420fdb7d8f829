import { adminOf } from './list-fields.js';
import { products } from './list-fields.js';
import type { Column, RowShape } from '../../csv/columns.js';
import { anyText, boolean, indexedText, integer, oneOf, timestamp } from '../../csv/values.js';

/** One of the directory's files; the first column is the id. */
export interface FileShape extends RowShape {
  /** What it is called in messages: `organisations`. */
  readonly name: FileName;
  /** The temporary table that the file is read into before anything is written. */
  readonly staging: string;
}

export type FileName = 'organisations' | 'accounts' | 'domains';

const id = (name: string): Column => ({ name, read: indexedText, type: 'text', needs: 'value' });
const optionalId = (name: string): Column => ({ name, read: indexedText, type: 'text', needs: 'nothing' });
/** What PostgreSQL reads as the time of the import and the midnights before it. */
const TIME_WORDS = new Set(['now', 'today', 'yesterday']);
const time = (name: string): Column => ({
  name,
  read: (text) => (TIME_WORDS.has(text) ? { value: text } : timestamp(text)),
  type: 'timestamptz',
  needs: 'nothing',
});
const word = (name: string, words: readonly string[], otherwise?: string): Column => ({
  name,
  read: oneOf(words),
  type: 'text',
  needs: 'nothing',
  ...(otherwise !== undefined && { otherwise }),
});

const ORGANISATIONS: FileShape = {
  name: 'organisations',
  staging: 'import_organisation',
  columns: [
    id('id'),
    { name: 'name', read: anyText, type: 'text', needs: 'column' },
    id('home_region'),
    word('consent', ['none', 'selected', 'all'], 'none'),
    time('consent_at'),
    time('suspended_at'),
  ],
  lineFaults: () => [],
};

const ACCOUNTS: FileShape = {
  name: 'accounts',
  staging: 'import_account',
  columns: [
    id('id'),
    { name: 'email', read: indexedText, type: 'text', needs: 'column' },
    { name: 'email_verified', read: boolean, type: 'boolean', needs: 'value' },
    word('kind', ['person', 'bot', 'service', 'portal-customer'], 'person'),
    id('home_region'),
    word('state', ['UNMANAGED', 'MANAGED', 'RELEASED', 'EXCLUDED', 'CONFLICT'], 'UNMANAGED'),
    optionalId('organisation_id'),
    optionalId('claimed_domain_id'),
    time('claimed_at'),
    optionalId('selected_by'),
    time('deactivated_at'),
    time('deleted_at'),
    { name: 'admin_of', read: adminOf, type: 'jsonb', needs: 'nothing', otherwise: '[]' },
    { name: 'products', read: products, type: 'jsonb', needs: 'nothing', otherwise: '[]' },
  ],
  lineFaults: () => [],
};

/** The columns of a domain's request that a line with a request must have, and those it may have. */
const OF_A_REQUEST = ['requested_at', 'token', 'token_issued_at'];
const OF_A_REQUEST_TOO = ['requested_by', 'withdrawn_at', 'request_organisation_id', 'request_domain_name'];

const DOMAINS: FileShape = {
  name: 'domains',
  staging: 'import_domain',
  columns: [
    id('id'),
    { name: 'name', read: indexedText, type: 'text', needs: 'column' },
    id('organisation_id'),
    // The organisation's home, unless the file says otherwise.
    optionalId('home_region'),
    word(
      'state',
      ['PENDING', 'VERIFIED', 'AT_RISK', 'LAPSED', 'EXPIRED', 'REMOVED', 'CONTESTED', 'SUPERSEDED'],
      'PENDING',
    ),
    optionalId('request_id'),
    optionalId('requested_by'),
    time('requested_at'),
    time('withdrawn_at'),
    optionalId('token'),
    time('token_issued_at'),
    // What the request and its token were for, where that is not this organisation and this domain.
    optionalId('request_organisation_id'),
    { name: 'request_domain_name', read: anyText, type: 'text', needs: 'nothing' },
    time('verified_at'),
    word('proof', ['dns', 'https']),
    time('proof_seen_at'),
    time('check_started_at'),
    time('checked_at'),
    { name: 'check_count', read: integer, type: 'integer', needs: 'nothing', otherwise: '0' },
    time('next_check_at'),
    time('absent_at'),
    time('absent_again_at'),
    time('at_risk_since'),
  ],
  lineFaults(given) {
    if (given('request_id')) {
      return OF_A_REQUEST.filter((column) => !given(column)).map(
        (column) => `${column} is empty, though there is a request_id`,
      );
    }
    return [...OF_A_REQUEST, ...OF_A_REQUEST_TOO]
      .filter(given)
      .map((column) => `${column} is given, though there is no request_id`);
  },
};

/** In the order in which they are read and refer to each other. */
export const FILES: readonly FileShape[] = [ORGANISATIONS, ACCOUNTS, DOMAINS];
