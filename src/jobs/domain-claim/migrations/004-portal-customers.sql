-- Customers of an organisation's help desk, who sign in to its portal alone. They are nobody's employees: no claim takes one.
alter table directory.account drop constraint account_kind_check;
alter table directory.account add constraint account_kind_check
  check (kind in ('person', 'bot', 'service', 'portal-customer'));
