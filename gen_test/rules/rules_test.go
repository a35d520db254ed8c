package rules_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/rules"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *orm.DB {
	t.Helper()
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "test.sqlite")
	db, err := driftdb.Open(t.Context(), path, Schema, driftdb.Options{})
	is.NoErr(err)
	is.NoErr(db.Close())
	db, err = driftdb.Open(t.Context(), path, Schema, driftdb.Options{})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b Account) bool { return fmt.Sprintf("%#v", raw(a)) == fmt.Sprintf("%#v", raw(b)) })); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

// raw is an Account without the methods that print it.
func raw(a Account) any {
	type plain Account
	b, _ := json.Marshal(plain(a))
	return string(b)
}

func TestColumnsThatAreNotWritten(t *testing.T) {
	is := is.New(t)
	ctx, db, a := t.Context(), open(t), Accounts
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	m := Account{Owner: "ann", Name: "Main", Number: 1, Balance: 21, Twice: 999, Label: "ignored", Serial: -5, Note: new("ignored"), Hash: "h", At: at}
	is.NoErr(a.Create(ctx, db, &m))
	is.Equal(m.Twice, int64(42)) // what SQLite made of it
	is.Equal(m.Label, "MAIN#1")
	is.True(m.Serial >= 1 && m.Serial <= 100)
	is.Equal(m.Note, nil)
	is.Equal(m.At, at.Truncate(time.Microsecond))
	got, err := a.Find(ctx, db, m.ID)
	is.NoErr(err)
	same(t, *got, m)

	is.NoErr(a.Update(ctx, db, m.ID, a.Balance.Add(4)))
	got, err = a.ByLabel.Find(ctx, db, "MAIN#1")
	is.NoErr(err)
	is.Equal(got.Twice, int64(50))
	n, err := a.Count(ctx, db, a.Twice.Gt(49), a.Label.HasPrefix("MAIN"), a.Note.IsNull())
	is.NoErr(err)
	is.Equal(n, int64(1))

	// Save and Upsert leave what only Create writes.
	got.Owner, got.Hash, got.Name, got.Serial = "eve", "other", "Second", 7
	is.NoErr(a.Save(ctx, db, got))
	is.Equal(got.Owner, "ann")
	is.Equal(got.Hash, "h")
	is.Equal(got.Label, "SECOND#1")
	is.Equal(got.Serial, m.Serial)
	up := *got
	up.Owner, up.Balance = "eve", 5
	is.NoErr(a.Upsert(ctx, db, &up))
	is.Equal(up.Owner, "ann")
	is.Equal(up.Twice, int64(10))
	_, err = a.Edit(ctx, db, m.ID, func(m *Account) error { m.Owner = "eve"; return nil })
	is.True(err != nil && strings.Contains(err.Error(), "accounts.owner"))
	many := []Account{{Owner: "b", Name: "x", Number: 2}, {Owner: "b", Name: "y", Number: 3, Cache: "kept"}}
	is.NoErr(a.CreateMany(ctx, db, many))
	is.Equal(many[0].Label, "X#2")
	is.Equal(many[1].Label, "Y#3")
}

func TestConstraintsHaveNames(t *testing.T) {
	is := is.New(t)
	ctx, db, a := t.Context(), open(t), Accounts
	m := Account{Owner: "ann", Name: "Main", Number: 1}
	is.NoErr(a.Create(ctx, db, &m))
	check := func(m Account, constraint string) {
		t.Helper()
		err := a.Create(ctx, db, &m)
		var e *orm.CheckError
		if !errors.As(err, &e) || e.Constraint != constraint {
			t.Errorf("want %s, got %v", constraint, err)
		}
	}
	check(Account{Owner: "x", Name: "n", Number: 1, Balance: -1}, "accounts_rich_check")
	check(Account{Owner: "", Name: "n", Number: 1}, "accounts_owner_minlen_check")
	check(Account{Owner: strings.Repeat("ä", 21), Name: "n", Number: 1}, "accounts_owner_maxlen_check")
	check(Account{Owner: "x", Name: "n"}, "accounts_number_min_check")
	is.NoErr(a.Create(ctx, db, &Account{Owner: strings.Repeat("ä", 20), Name: "n", Number: 2}))
	is.NoErr(a.Create(ctx, db, &Account{Owner: "bank", Name: "m", Number: 2, Balance: -1}))

	err := a.Create(ctx, db, &Account{Owner: "ann", Name: "Other", Number: 1})
	is.True(a.ByOwnerNumber.Violated(err))
	err = a.Create(ctx, db, &Account{Owner: "bob", Name: "mAIN", Number: 1})
	is.True(a.ByNameNumber.Violated(err) || a.ByLabel.Violated(err))
	err = a.Create(ctx, db, &Account{Owner: "ann", Name: "MAIN", Number: 5}) // (owner, lower(name))
	var unique *orm.UniqueError
	is.True(errors.As(err, &unique))
	is.Equal(unique.Index, "accounts_owner_lower_name_key")
	got, err := a.ByOwnerNumber.Find(ctx, db, AccountOwnerNumberKey{"ann", 1})
	is.NoErr(err)
	is.Equal(got.ID, m.ID)

	plan, err := a.Where(a.Balance.Gt(2000), orm.SQL[Account]("balance > 1000")).OrderBy(a.Balance.Desc()).Explain(ctx, db)
	is.NoErr(err)
	is.True(strings.Contains(plan, "accounts_big_idx"))
}

func TestSecretsAreNotPrinted(t *testing.T) {
	is := is.New(t)
	m := Account{ID: "1", Owner: "ann", Hash: "canary", Name: "n"}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "m", m, "p", &m)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "m", m, "p", &m)
	fmt.Fprintf(&b, "%v %+v %#v %s %v", m, m, m, m, []Account{m})
	is.True(!strings.Contains(b.String(), "canary"))
	is.True(strings.Contains(b.String(), "[redacted]"))
	is.True(strings.Contains(b.String(), "ann"))
}

// A column with nolog is in no entry of the log, and a change of nothing else
// writes none.
func TestColumnsOutsideTheLog(t *testing.T) {
	is := is.New(t)
	ctx, db, a := t.Context(), open(t), Accounts
	m := Account{Owner: "ann", Name: "Main", Number: 1, Cache: "canary", Seen: new(time.Unix(7, 0))}
	is.NoErr(a.Create(ctx, db, &m))
	before, err := db.Position(ctx)
	is.NoErr(err)
	is.NoErr(a.Update(ctx, db, m.ID, a.Cache.Set("canary 2"), a.Seen.SetNull()))
	after, err := db.Position(ctx)
	is.NoErr(err)
	is.Equal(before, after)
	is.NoErr(a.Update(ctx, db, m.ID, a.Cache.Set("canary 3"), a.Balance.Set(1)))
	_, err = a.Delete(ctx, db, m.ID)
	is.NoErr(err)
	n, err := orm.RawOne[int](ctx, db, `SELECT count(*) FROM _driftdb_log WHERE operation IN ('insert', 'update', 'delete') AND (coalesce(data, '') || coalesce(before, '') LIKE '%canary%' OR data LIKE '%label%')`)
	is.NoErr(err)
	is.Equal(n, 0)
}

func TestDeferred(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	ring := func(tx *orm.Tx) error {
		for _, n := range []Node{{"a", new("b")}, {"b", new("c")}, {"c", new("a")}} {
			if err := Nodes.Create(ctx, tx, &n); err != nil {
				return err
			}
		}
		return nil
	}
	err := db.Tx(ctx, func(_ context.Context, tx *orm.Tx) error { return ring(tx) })
	is.NoErr(err)
	err = Nodes.Create(ctx, db, &Node{"d", new("nowhere")})
	var fk *orm.ForeignKeyError
	is.True(errors.As(err, &fk))
	n, err := Nodes.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(3))
}

func TestRing(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	is.NoErr(Lefts.Create(ctx, db, &Left{ID: "l"}))
	is.NoErr(Rights.Create(ctx, db, &Right{ID: "r", LeftID: "l"}))
	is.NoErr(Lefts.Update(ctx, db, "l", Lefts.RightID.Set("r")))
	_, err := Lefts.Delete(ctx, db, "l")
	is.NoErr(err)
	n, err := Rights.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0))
}
