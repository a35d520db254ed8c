package main

import (
	"context"
	"fmt"

	"github.com/driftdb/driftdb/examples/cli-notes/models"
	"github.com/driftdb/driftdb/orm"
)

// ensureIndex makes the full-text index. It follows from the notes, so it is
// not in the change log: a restored file has none, and gets it here.
func ensureIndex(ctx context.Context, db *orm.DB) error {
	n, err := orm.RawOne[int](ctx, db, `SELECT count(*) FROM sqlite_schema WHERE name = 'note_index'`)
	if err != nil || n > 0 {
		return err
	}
	return db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if _, err := orm.Exec(ctx, tx, `CREATE VIRTUAL TABLE note_index USING fts4(id, title, body, notindexed=id)`); err != nil {
			return fmt.Errorf("make the search index: %w", err)
		}
		_, err := orm.Exec(ctx, tx, `INSERT INTO note_index (id, title, body) SELECT id, title, body FROM notes`)
		return err
	})
}

// index brings the index to what the note says now.
func index(ctx context.Context, tx *orm.Tx, n *models.Note) error {
	if _, err := orm.Exec(ctx, tx, `DELETE FROM note_index WHERE id = ?`, n.ID); err != nil {
		return err
	}
	if n.Gone != nil {
		return nil
	}
	_, err := orm.Exec(ctx, tx, `INSERT INTO note_index (id, title, body) VALUES (?, ?, ?)`, n.ID, n.Title, n.Body)
	return err
}

// find returns the notes that match FTS4's words.
func find(ctx context.Context, r orm.Reader, words string) ([]models.Found, error) {
	return orm.RawAll[models.Found](ctx, r,
		`SELECT id, title, snippet(note_index, '[', ']', '…', 2, 8) AS snippet FROM note_index WHERE note_index MATCH ? ORDER BY title`, words)
}
