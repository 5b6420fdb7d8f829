-- A token that ends by itself, given for a workflow's own OpenID token: `exchanged_for` is that one's hash, good once.
alter table portcullis_control.api_token
  drop constraint api_token_role_check,
  add constraint api_token_role_check check (role in ('viewer', 'operator', 'approver', 'admin', 'worker', 'deployer')),
  add column expires_at    timestamptz,
  add column exchanged_for bytea unique check (octet_length(exchanged_for) = 32),
  add check ((expires_at is null) = (exchanged_for is null));
