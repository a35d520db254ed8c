-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: a21f8261156ef70050d645c19a0f18f3

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
