-- Until when a plan may be carried on with by a worker that takes its run over, by the policy's plan.maxAge; null: for ever.
alter table portcullis_region.plan add column expires_at timestamptz;
alter table portcullis_region.run add column expires_at timestamptz;
