-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: 23e837fa49de7b6d4fac8cff7558f9ff

-- step: schema

-- new column notes.length
ALTER TABLE "notes" ADD COLUMN "length" INTEGER NOT NULL DEFAULT 0;

-- Statements that change rows go below: add a line "-- step: data", and run driftgen migrate -sign afterwards.

-- step: data
UPDATE notes SET length = length(text);
