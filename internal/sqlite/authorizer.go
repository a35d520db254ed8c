//go:build cgo

package sqlite

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// SetDDLOnly switches an authorizer on conn on or off. While it is on, the
// connection prepares CREATE, ALTER and DROP of tables, indexes, views and
// triggers that are not _driftdb_* tables, and nothing else: no row is read or
// written, nothing attached, no pragma run. Schema entries of a change log come
// from a bucket and are run under it. It is switched on anew before each
// statement.
func SetDDLOnly(conn *sql.Conn, on bool) error {
	return conn.Raw(func(dc any) error {
		c, ok := dc.(*sqlite3.SQLiteConn)
		if !ok {
			return fmt.Errorf("not a connection of this package but a %T", dc)
		}
		if !on {
			c.RegisterAuthorizer(nil)
			return nil
		}
		c.RegisterAuthorizer(new(ddlOnly).authorize)
		return nil
	})
}

// ddlOnly decides what a statement may do. SQLite runs parts of DDL as
// statements of their own that update sqlite_schema; what a DDL statement is
// allowed beyond that depends on what came before.
type ddlOnly struct {
	dropping string // what a DROP drops: its rows and statistics are deleted
	copying  bool   // a table is filled that takes another one's place
	altering bool   // ALTER TABLE reads the schema and checks rows by queries of its own
}

func (d *ddlOnly) authorize(op int, arg1, arg2, _ string) int {
	if d.allows(op, arg1, arg2) {
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

func (d *ddlOnly) allows(op int, arg1, arg2 string) bool {
	switch op {
	case sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_VIEW:
		return !ours(arg1)
	case sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_VIEW:
		if ours(arg1) {
			return false
		}
		d.dropping = arg1
		return true
	case sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_DROP_TRIGGER:
		return !ours(arg2) // the table; our triggers' names begin with _driftdb_ too
	case sqlite3.SQLITE_DROP_INDEX:
		d.dropping = arg1 // its statistics are deleted
		return !ours(arg2)
	case sqlite3.SQLITE_ALTER_TABLE:
		if ours(arg2) {
			return false
		}
		d.altering = true
		return true
	case sqlite3.SQLITE_INSERT:
		if strings.HasSuffix(arg1, "__rebuilt") && !ours(arg1) {
			d.copying = true
			return true
		}
		return isSchemaTable(arg1)
	case sqlite3.SQLITE_UPDATE:
		return isSchemaTable(arg1)
	case sqlite3.SQLITE_DELETE:
		return isSchemaTable(arg1) || d.dropping != "" && (arg1 == d.dropping || strings.HasPrefix(arg1, "sqlite_"))
	case sqlite3.SQLITE_REINDEX:
		return true // CREATE INDEX fills the index
	case sqlite3.SQLITE_READ:
		return true // without a SELECT it names a column of a CHECK or an index
	case sqlite3.SQLITE_FUNCTION:
		return !strings.EqualFold(arg2, "load_extension") && !strings.EqualFold(arg2, "fts3_tokenizer")
	case sqlite3.SQLITE_PRAGMA:
		return d.altering && arg1 == "quick_check" // ADD COLUMN tests the rows with it
	case sqlite3.SQLITE_SELECT:
		return d.altering || d.copying || d.dropping != ""
	}
	return false
}

func ours(table string) bool {
	const prefix = "_driftdb_"
	return len(table) >= len(prefix) && strings.EqualFold(table[:len(prefix)], prefix)
}

func isSchemaTable(name string) bool {
	switch name {
	case "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema":
		return true
	}
	return false
}
