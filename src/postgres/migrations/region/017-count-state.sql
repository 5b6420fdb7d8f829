-- What a count rule keeps of a run, for the runs after it: {"usual": {…}, "shiftedSince": null, "drift": […]}. Null for
-- rules that keep nothing, and for verdicts from before this was kept.
alter table portcullis_region.verdict add column state jsonb check (jsonb_typeof(state) = 'object');
