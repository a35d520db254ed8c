package replicate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// undeleteFile is the file that rows come back to, and its tables.
type undeleteFile struct {
	db     *sql.DB
	conn   *sql.Conn
	tables map[string]*undeleteTable
}

type undeleteTable struct {
	name    string
	columns map[string]bool // that can be written
	key     []string        // columns of the primary key, in its order
	refs    []undeleteRef   // with ON DELETE CASCADE
}

// undeleteRef is a foreign key: its columns, and those that they refer to.
type undeleteRef struct {
	table    string
	from, to []string
}

func openUndelete(ctx context.Context, path string) (_ *undeleteFile, err error) {
	l, err := openLocal(ctx, path) // says what is wrong with a file that is none of ours
	if err != nil {
		return nil, err
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	f := &undeleteFile{db: sql.OpenDB(sqlite.Connector(path, sqlite.Writer)), tables: map[string]*undeleteTable{}}
	f.db.SetMaxOpenConns(1)
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	return f, nil
}

func (f *undeleteFile) close() error { return errors.Join(f.conn.Close(), f.db.Close()) }

// table returns what the file says of a table.
func (f *undeleteFile) table(ctx context.Context, name string) (*undeleteTable, error) {
	if t := f.tables[name]; t != nil {
		return t, nil
	}
	t := &undeleteTable{name: name, columns: map[string]bool{}}
	if err := f.eachRow(ctx, `SELECT name, pk, hidden FROM pragma_table_xinfo(?) ORDER BY pk`, name, func(rows *sql.Rows) error {
		var column string
		var pk, hidden int
		if err := rows.Scan(&column, &pk, &hidden); err != nil {
			return err
		}
		t.columns[column] = hidden == 0 // others are computed
		if pk > 0 {
			t.key = append(t.key, column)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if len(t.columns) == 0 || strings.HasPrefix(changelog.Fold(name), "_driftdb_") {
		return nil, fmt.Errorf("the file has no table %q", name)
	}
	f.tables[name] = t
	last := -1
	return t, f.eachRow(ctx, `SELECT id, "table", "from", coalesce("to", '') FROM pragma_foreign_key_list(?) WHERE on_delete = 'CASCADE' ORDER BY id, seq`, name, func(rows *sql.Rows) error {
		var id int
		var parent, from, to string
		if err := rows.Scan(&id, &parent, &from, &to); err != nil {
			return err
		}
		if id != last {
			t.refs, last = append(t.refs, undeleteRef{table: parent}), id
		}
		r := &t.refs[len(t.refs)-1]
		r.from, r.to = append(r.from, from), append(r.to, to)
		return nil
	})
}

func (f *undeleteFile) eachRow(ctx context.Context, query, arg string, each func(*sql.Rows) error) (err error) {
	rows, err := f.conn.QueryContext(ctx, query, arg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// checkKey makes sure that the key is one of the table's, before anything is
// read from a bucket.
func (f *undeleteFile) checkKey(ctx context.Context, table string, key map[string]json.RawMessage) error {
	t, err := f.table(ctx, table)
	if err != nil {
		return err
	}
	for _, column := range t.key {
		if _, ok := key[column]; !ok || len(key) != len(t.key) {
			return fmt.Errorf("the primary key of %s is (%s): give these columns and no other", table, strings.Join(t.key, ", "))
		}
	}
	return nil
}

// dependents returns row and those of others that were deleted because it was,
// a row before those that refer to it.
func (f *undeleteFile) dependents(ctx context.Context, row *deleted, others []*deleted) ([]*deleted, error) {
	if len(row.values) == 0 {
		return nil, row.unknown()
	}
	all := []*deleted{row}
	for i := 0; i < len(all); i++ {
		parent, err := f.table(ctx, all[i].entry.Table)
		if err != nil {
			return nil, err
		}
		for j, o := range others {
			if o == nil {
				continue
			}
			refers, err := f.refers(ctx, o, all[i], parent)
			if err != nil {
				return nil, err
			}
			if refers {
				all, others[j] = append(all, o), nil
			}
		}
	}
	return all, nil
}

// refers says whether the row o referred to the row p.
func (f *undeleteFile) refers(ctx context.Context, o, p *deleted, parent *undeleteTable) (bool, error) {
	t, err := f.table(ctx, o.entry.Table)
	if err != nil {
		return false, nil //nolint:nilerr // a table that is not there any more refers to nothing
	}
	for _, r := range t.refs {
		if !sameName(r.table, parent.name) {
			continue
		}
		if len(o.values) == 0 {
			return false, o.unknown()
		}
		same := true
		for i, from := range r.from {
			to := r.to[i]
			if to == "" && i < len(parent.key) { // refers to the primary key
				to = parent.key[i]
			}
			a, b := o.values[from], p.values[to]
			same = same && a != nil && b != nil && string(a) != "null" && plainToken(a) == plainToken(b)
		}
		if same {
			return true, nil
		}
	}
	return false, nil
}

// insert brings the rows back, all or none.
func (f *undeleteFile) insert(ctx context.Context, rows []*deleted, dry bool) (leftOut []string, err error) {
	x := changelog.SQL(f.conn)
	if err := x.Exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil || dry {
			err = errors.Join(err, x.Exec(context.WithoutCancel(ctx), "ROLLBACK"))
		}
	}()
	// Rows may refer to each other: what counts is the end of the transaction,
	// which a dry run does not come to.
	if err := x.Exec(ctx, fmt.Sprintf("PRAGMA defer_foreign_keys=%t", !dry)); err != nil {
		return nil, err
	}
	for _, row := range rows {
		t, err := f.table(ctx, row.entry.Table)
		if err != nil {
			return nil, err
		}
		b, out, err := t.bind(row)
		if err != nil {
			return nil, err
		}
		leftOut = append(leftOut, out...)
		if err := t.insert(ctx, x, row, b); err != nil {
			return nil, err
		}
	}
	slices.Sort(leftOut)
	leftOut = slices.Compact(leftOut)
	if dry {
		return leftOut, nil
	}
	if err := x.Exec(ctx, changelog.MarkSQL); err != nil {
		return nil, err
	}
	return leftOut, violation(x.Exec(ctx, "COMMIT"))
}

// bind returns the columns and values of a row that the table takes.
func (t *undeleteTable) bind(row *deleted) (b bound, leftOut []string, err error) {
	err = changelog.ReadObject(string(joined(row.values)), func(column string, v driver.Value) {
		if !t.columns[column] {
			leftOut = append(leftOut, t.name+"."+column)
			return
		}
		b.columns, b.values = append(b.columns, column), append(b.values, v)
	})
	if err != nil {
		return b, nil, fmt.Errorf("entry %d: %w", row.entry.Sequence, err)
	}
	return b, leftOut, nil
}

func (t *undeleteTable) insert(ctx context.Context, x changelog.Execer, row *deleted, b bound) error {
	var where []string
	var key []driver.Value
	for _, column := range t.key {
		i := slices.Index(b.columns, column)
		if i < 0 {
			return fmt.Errorf("table %s has the primary key (%s) now, which the deleted row did not have", t.name, strings.Join(t.key, ", "))
		}
		where, key = append(where, quoteName(column)+" IS ?"), append(key, b.values[i])
	}
	found, err := x.QueryRow(ctx, "SELECT count(*) FROM "+quoteName(t.name)+" WHERE "+strings.Join(where, " AND "), key...)
	if err != nil {
		return err
	}
	if n, ok := found[0].(int64); !ok || n > 0 {
		return fmt.Errorf("table %s, deleted at %d: %w", t.name, row.entry.Sequence, ErrKeyTaken)
	}
	columns := make([]string, len(b.columns))
	for i, c := range b.columns {
		columns[i] = quoteName(c)
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	return violation(x.Exec(ctx, "INSERT INTO "+quoteName(t.name)+" ("+strings.Join(columns, ", ")+") VALUES ("+marks+")", b.values...))
}

// sameName says whether SQLite takes two names for one.
func sameName(a, b string) bool { return changelog.Fold(a) == changelog.Fold(b) }

// quoteName quotes a name that the file's own schema has.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// violation says which constraint a row would break.
func violation(err error) error {
	c, ok := sqlite.Classify(err)
	if !ok {
		return err
	}
	columns := strings.Join(c.Columns, ", ")
	switch c.Kind {
	case sqlite.ForeignKey:
		return fmt.Errorf("a row would refer to one that is not there: undelete that one first: %w", err)
	case sqlite.Unique, sqlite.PrimaryKey:
		return fmt.Errorf("another row of %s has the same (%s): change it first: %w", c.Table, columns, err)
	case sqlite.NotNull:
		return fmt.Errorf("the log has no value for %s (%s), which may not be NULL: %w", c.Table, columns, err)
	}
	return fmt.Errorf("the table does not take the row any more: %w", err)
}
