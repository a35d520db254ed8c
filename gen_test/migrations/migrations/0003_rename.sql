-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: 3e3f278927486e2832c1b2aee4824d43

-- step: schema

-- column users.name becomes full_name
ALTER TABLE "users" RENAME COLUMN "name" TO "full_name";

-- table users is rebuilt: column age changes; column old is dropped with its values; the checks change
CREATE TABLE "users__rebuilt" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"full_name" TEXT NOT NULL,
	"active" INTEGER NOT NULL DEFAULT 1,
	"age" INTEGER NOT NULL DEFAULT 18,
	"team_id" TEXT,
	CONSTRAINT "users_active_check" CHECK ("active" IN (0, 1)),
	CONSTRAINT "users_age_min_check" CHECK ("age" >= 0),
	CONSTRAINT "users_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams" ("id") ON DELETE CASCADE
) STRICT;
INSERT INTO "users__rebuilt" ("id", "full_name", "active", "age", "team_id") SELECT "id", "full_name", "active", coalesce("age", 18), "team_id" FROM "users";
DROP TABLE "users";
ALTER TABLE "users__rebuilt" RENAME TO "users";
CREATE INDEX "users_full_name_idx" ON "users" ("full_name");
CREATE INDEX "users_team_id_idx" ON "users" ("team_id");

-- Statements that change rows go below: add a line "-- step: data", and run driftgen migrate -sign afterwards.
