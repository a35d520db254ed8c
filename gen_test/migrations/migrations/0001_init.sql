-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: 5d5b556be9dedbf4ab16a6476fdd47cb

-- step: schema

-- new table teams
CREATE TABLE "teams" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"name" TEXT NOT NULL
) STRICT;

-- new index teams_name_key
CREATE UNIQUE INDEX "teams_name_key" ON "teams" ("name");

-- new table users
CREATE TABLE "users" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"name" TEXT NOT NULL,
	"age" INTEGER,
	"old" TEXT NOT NULL DEFAULT 'x',
	"team_id" TEXT,
	CONSTRAINT "users_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams" ("id") ON DELETE CASCADE
) STRICT;

-- new index users_team_id_idx
CREATE INDEX "users_team_id_idx" ON "users" ("team_id");

-- Statements that change rows go below: add a line "-- step: data", and run driftgen migrate -sign afterwards.
