-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: 46150e50052a451e3e39cc1508e5e5bf

-- step: schema

-- new table accounts
CREATE TABLE "accounts" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"name" TEXT NOT NULL
) STRICT;

-- new index accounts_name_key
CREATE UNIQUE INDEX "accounts_name_key" ON "accounts" ("name");

-- new table sessions
CREATE TABLE "sessions" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"user_id" TEXT NOT NULL,
	CONSTRAINT "sessions_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "accounts" ("id") ON DELETE CASCADE
) STRICT;

-- new index sessions_user_id_idx
CREATE INDEX "sessions_user_id_idx" ON "sessions" ("user_id");

-- new table tags
CREATE TABLE "tags" (
	"id" INTEGER NOT NULL PRIMARY KEY,
	"word" TEXT NOT NULL
) STRICT;

-- new index tags_word_key
CREATE UNIQUE INDEX "tags_word_key" ON "tags" ("word");

-- new table docs
CREATE TABLE "docs" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"owner_id" TEXT NOT NULL,
	"reader" TEXT,
	CONSTRAINT "docs_owner_id_fkey" FOREIGN KEY ("owner_id") REFERENCES "accounts" ("id") ON DELETE CASCADE,
	CONSTRAINT "docs_reader_fkey" FOREIGN KEY ("reader") REFERENCES "accounts" ("name") ON UPDATE CASCADE
) STRICT;

-- new index docs_owner_id_idx
CREATE INDEX "docs_owner_id_idx" ON "docs" ("owner_id");

-- new index docs_reader_idx
CREATE INDEX "docs_reader_idx" ON "docs" ("reader");

-- new table marks
CREATE TABLE "marks" (
	"doc_id" TEXT NOT NULL,
	"tag_id" INTEGER NOT NULL,
	PRIMARY KEY ("doc_id", "tag_id"),
	CONSTRAINT "marks_doc_id_fkey" FOREIGN KEY ("doc_id") REFERENCES "docs" ("id") ON DELETE CASCADE,
	CONSTRAINT "marks_tag_id_fkey" FOREIGN KEY ("tag_id") REFERENCES "tags" ("id") ON DELETE CASCADE
) STRICT;

-- new index marks_tag_id_idx
CREATE INDEX "marks_tag_id_idx" ON "marks" ("tag_id");

-- new table sales
CREATE TABLE "sales" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"doc_id" TEXT NOT NULL,
	"price" INTEGER NOT NULL,
	CONSTRAINT "sales_doc_id_fkey" FOREIGN KEY ("doc_id") REFERENCES "docs" ("id") ON DELETE RESTRICT
) STRICT;

-- new index sales_doc_id_idx
CREATE INDEX "sales_doc_id_idx" ON "sales" ("doc_id");

-- Statements that change rows go below: add a line "-- step: data", and run driftgen migrate -sign afterwards.
