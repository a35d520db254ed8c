-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: 61366e65ac8dd59d3dbebaf22cb74a3c

-- step: schema

-- new column notes.length
ALTER TABLE "notes" ADD COLUMN "length" INTEGER NOT NULL DEFAULT 0;

-- Statements that change rows go below: add a line "-- step: data", and run driftgen migrate -sign afterwards.

-- step: data
UPDATE notes SET length = length(text);
