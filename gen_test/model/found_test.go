package model_test

import (
	"errors"
	"testing"
	"time"

	isit "github.com/matryer/is"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/model"
	"github.com/driftdb/driftdb/orm"
)

// TestRawStatementsNameTheConstraint: SQL of the caller's own violates the same
// constraints as the verbs, and is told so in the same words.
func TestRawStatementsNameTheConstraint(t *testing.T) {
	is := isit.New(t)
	ctx := t.Context()
	db, err := driftdb.Open(ctx, driftdb.Memory, Schema, driftdb.Options{})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()
	is.NoErr(Accounts.Create(ctx, db, &Account{ID: "a", Email: "a@x"}))
	is.NoErr(Accounts.Create(ctx, db, &Account{ID: "b", Email: "b@x"}))
	is.NoErr(Items.Create(ctx, db, &Item{Number: 1, AccountID: "a", Title: "t"}))
	is.NoErr(Items.Create(ctx, db, &Item{Number: 2, AccountID: "a", Title: "u"}))

	_, err = orm.Exec(ctx, db, `UPDATE accounts SET email = 'A@X' WHERE id = 'b'`)
	is.True(Accounts.ByEmail.Violated(err))
	is.Equal(err.Error(), "raw statement: accounts: another row has the same unique key accounts_email_key (email)")
	_, err = orm.Exec(ctx, db, `UPDATE accounts SET id = 'a' WHERE id = 'b'`)
	is.Equal(err.Error(), "raw statement: accounts: another row has the same primary key (id)")
	_, err = orm.Exec(ctx, db, `UPDATE items SET title = 't'`)
	is.True(Items.ByTitle.Violated(err))
	_, err = orm.Exec(ctx, db, `UPDATE accounts SET age = -1`)
	var check *orm.CheckError
	is.True(errors.As(err, &check))
	is.Equal(*check, orm.CheckError{Table: "accounts", Constraint: "accounts_age_check", Err: check.Err})
	_, err = orm.Exec(ctx, db, `UPDATE accounts SET name = NULL`)
	var missing *orm.NotNullError
	is.True(errors.As(err, &missing))
	is.Equal(missing.Error(), "accounts.name: NULL is not allowed")
	_, err = orm.Exec(ctx, db, `UPDATE items SET account_id = 'nobody'`)
	var foreign *orm.ForeignKeyError
	is.True(errors.As(err, &foreign))
	is.Equal(foreign.Error(), "a row refers to a row that does not exist, or is referred to and was removed")

	// A table that no model has.
	_, err = orm.Exec(ctx, db, `CREATE TABLE other (a INTEGER CONSTRAINT positive CHECK (a > 0) UNIQUE)`)
	is.NoErr(err)
	_, err = orm.Exec(ctx, db, `INSERT INTO other VALUES (-1)`)
	is.Equal(err.Error(), "raw statement: the value is refused by the check positive")
	_, err = orm.Exec(ctx, db, `INSERT INTO other VALUES (1), (1)`)
	var unique *orm.UniqueError
	is.True(errors.As(err, &unique))
	is.Equal(unique.Table, "other")
	is.Equal(unique.Columns, []string{"a"})
}

// TestEditKeepsZeroValues: a row that raw SQL gave an empty key and a zero time
// is edited as any other; Create alone chooses values for them.
func TestEditKeepsZeroValues(t *testing.T) {
	is := isit.New(t)
	ctx := t.Context()
	db, err := driftdb.Open(ctx, driftdb.Memory, Schema, driftdb.Options{})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()
	_, err = orm.Exec(ctx, db, `INSERT INTO accounts (id, name, email, score, avatar, "group", created_at, updated_at)
VALUES ('', 'old', 'a@x', 0, x'', 0, ?1, ?1)`, time.Time{}.UnixMilli())
	is.NoErr(err)
	a, err := Accounts.Edit(ctx, db, "", func(a *Account) error { a.Name = "new"; return nil })
	is.NoErr(err)
	is.Equal([]any{a.ID, a.Name, a.CreatedAt, a.UpdatedAt.IsZero()}, []any{"", "new", time.Time{}, false})
	a.Name = "saved"
	is.NoErr(Accounts.Save(ctx, db, a))
	is.Equal([]any{a.ID, a.Name, a.CreatedAt}, []any{"", "saved", time.Time{}})
	n, err := Accounts.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))
}

// TestCreateManyKeepsTheOrderOfRowsThatReferToEachOther: rows with a key and
// rows without are inserted by different statements.
func TestCreateManyKeepsTheOrderOfRowsThatReferToEachOther(t *testing.T) {
	is := isit.New(t)
	ctx := t.Context()
	db, err := driftdb.Open(ctx, driftdb.Memory, Schema, driftdb.Options{})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()
	all := []Node{{Key: keys[0]}, {ID: 1000, Key: keys[1]}, {Key: keys[2], ParentID: new(int64(1000))}, {ID: 7, Key: keys[3], ParentID: new(int64(1000))}}
	is.NoErr(Nodes.CreateMany(ctx, db, all))
	is.Equal([]int64{all[0].ID, all[1].ID, all[2].ID, all[3].ID}, []int64{1, 1000, 1001, 7})
}
