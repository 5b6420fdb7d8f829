-- The products that an account is used in, as far as anybody has said: whom a change of it reached.
create table directory.product_use (
  account_id text not null references directory.account,
  product    text not null check (product <> ''),
  primary key (account_id, product)
);
