package orm

import "context"

// ReadDB is a database that can only be read: what writes does not compile with
// it. All methods may be called concurrently.
type ReadDB struct{ db *DB }

// ReadOnly returns db as one that can only be read. Closing either closes both.
func (db *DB) ReadOnly() *ReadDB { return &ReadDB{db} }

var _ Reader = (*ReadDB)(nil)

func (r *ReadDB) base() *DB { return r.db }

func (r *ReadDB) reader(ctx context.Context, loop bool) (*conn, func() error, error) {
	return r.db.reader(ctx, loop)
}

// ReadTx runs fn on one state of the database. See [DB.ReadTx].
func (r *ReadDB) ReadTx(ctx context.Context, fn func(ctx context.Context, tx *ReadTx) error) error {
	if err := usable(r); err != nil {
		return err
	}
	return r.db.ReadTx(ctx, fn)
}

// Close closes the database. See [DB.Close].
func (r *ReadDB) Close() error {
	if err := usable(r); err != nil {
		return err
	}
	return r.db.Close()
}
