create table teams (id text primary key, region text not null);
create table members (id int generated always as identity primary key, team text not null references teams, name text not null,
  joined timestamptz not null, greeted boolean not null default false);
