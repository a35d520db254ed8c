package replicate

import "context"

// Source is a backup at a moment, for driftdb.OpenAt: a database to look at.
type Source struct {
	Name    string // of the database
	Store   Store
	Options RestoreOptions // At, Sequence or Point; the newest state by default
}

// RestoreTo restores to a path. See [Restore].
func (s Source) RestoreTo(ctx context.Context, path string) error {
	_, err := Restore(ctx, s.Name, s.Store, path, s.Options)
	return err
}
