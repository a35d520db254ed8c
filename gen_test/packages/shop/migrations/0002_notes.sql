-- Written by driftgen migrate; never changed once it has run somewhere.
-- structure: 61d9b87b43089ed0fcf7cafc492a261f

-- step: schema

-- table sales is rebuilt: the checks change
CREATE TABLE "sales__rebuilt" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"doc_id" TEXT NOT NULL,
	"price" INTEGER NOT NULL,
	"note" TEXT,
	CONSTRAINT "sales_price_check" CHECK (price >= 0),
	CONSTRAINT "sales_doc_id_fkey" FOREIGN KEY ("doc_id") REFERENCES "docs" ("id") ON DELETE RESTRICT
) STRICT;
INSERT INTO "sales__rebuilt" ("id", "doc_id", "price") SELECT "id", "doc_id", "price" FROM "sales";
DROP TABLE "sales";
ALTER TABLE "sales__rebuilt" RENAME TO "sales";
CREATE INDEX "sales_doc_id_idx" ON "sales" ("doc_id");

-- Statements that change rows go below: add a line "-- step: data", and run driftgen migrate -sign afterwards.
