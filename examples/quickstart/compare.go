package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/driftdb/driftdb/examples/quickstart/models"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// digest is the content of one table.
type digest struct {
	rows int
	sum  [sha256.Size]byte
}

// digests hashes every row of every table in key order, with the type of each
// value as SQLite stores it.
func digests(ctx context.Context, db *orm.DB, s schema.Schema) (map[string]digest, error) {
	all := make(map[string]digest, len(s.Tables))
	for _, t := range s.Tables {
		d, err := digestTable(ctx, db, t)
		if err != nil {
			return nil, fmt.Errorf("hash %s: %w", t.Name, err)
		}
		all[t.Name] = d
	}
	return all, nil
}

func digestTable(ctx context.Context, db *orm.DB, t schema.Table) (d digest, err error) {
	rows, err := db.SQL().QueryContext(ctx, "SELECT * FROM "+schema.QuoteIdent(t.Name)+" ORDER BY "+schema.QuoteIdent(t.Key[0]))
	if err != nil {
		return d, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return d, err
	}
	values := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	h := sha256.New()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return d, err
		}
		hashRow(h, columns, values)
		d.rows++
	}
	h.Sum(d.sum[:0])
	return d, rows.Err()
}

func hashRow(h hash.Hash, columns []string, values []any) {
	for i, v := range values {
		fmt.Fprintf(h, "%s=%T:%q;", columns[i], v, fmt.Sprint(v)) // a hash never fails to write
	}
	fmt.Fprintln(h)
}

// compare says how many rows are the same in before and after, or which table
// differs.
func compare(before, after map[string]digest) (rows int, err error) {
	for _, t := range models.Schema.Tables {
		b, a := before[t.Name], after[t.Name]
		if b.rows != a.rows {
			return 0, fmt.Errorf("table %s: %d rows before, %d restored", t.Name, b.rows, a.rows)
		}
		if b.sum != a.sum {
			return 0, fmt.Errorf("table %s: the %d restored rows differ from the rows before", t.Name, a.rows)
		}
		rows += a.rows
	}
	return rows, nil
}
