-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: ebd2a639c3a3c5c007fdb4e140f31cfc

-- step: schema

-- new column users.active
ALTER TABLE "users" ADD COLUMN "active" INTEGER NOT NULL DEFAULT 1 CONSTRAINT "users_active_check" CHECK ("active" IN (0, 1));

-- new index users_name_idx
CREATE INDEX "users_name_idx" ON "users" ("name");

-- new table notes
CREATE TABLE "notes" (
	"id" INTEGER NOT NULL PRIMARY KEY,
	"user_id" TEXT,
	"text" TEXT NOT NULL,
	CONSTRAINT "notes_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users" ("id") ON DELETE SET NULL
) STRICT;

-- new index notes_user_id_idx
CREATE INDEX "notes_user_id_idx" ON "notes" ("user_id");

-- Statements that change rows go below: add a line "-- step: data", and run driftgen migrate -sign afterwards.
