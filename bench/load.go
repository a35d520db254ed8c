package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	_ "github.com/mattn/go-sqlite3" // the driver of the plain side

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/bench/models"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
)

// writer is the application's database: with DriftDB's generated code, or with
// database/sql as the peer's users write it.
type writer interface {
	event(ctx context.Context) error           // appends one row, a transaction
	account(ctx context.Context, id int) error // changes one row with a random key, a transaction
	events(ctx context.Context, n int) error   // appends n rows in one transaction
	accounts(ctx context.Context, n int) error // adds the accounts
	create(ctx context.Context, n int) error   // adds n accounts more in one transaction
	mixed(ctx context.Context, n int) error    // appends n/2 rows and changes n/2 in one transaction
	commit(ctx context.Context) (replicate.Position, error)
	sequence(ctx context.Context) (int64, error) // where the log stands; 0 without
	close(ctx context.Context) error
}

// accountID is the key of the account i, random to a B-tree.
func accountID(i int) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i)).String()
}

func newAccount(i int) models.Account {
	return models.Account{
		ID: accountID(i), Email: fmt.Sprintf("user%d@example.com", i), Owner: fmt.Sprintf("owner %d", i%500), Balance: int64(i) * 100,
		Note: strings.Repeat("paid ", i%20),
	}
}

func newEvent(i int) models.Event {
	return models.Event{Kind: []string{"login", "logout", "view", "edit"}[i%4], Value: float64(i) / 8}
}

// accountRows is how many accounts there are.
const accountRows = 20_000

// load runs a workload and says when each transaction was committed and how
// long it took.
func (a *app) load(ctx context.Context, c command, r *reply) error {
	began := time.Now()
	snapshot := make(chan error, 1)
	if c.Snapshot {
		go func() {
			<-time.After(time.Second)
			from := time.Now()
			err := a.replica.Snapshot(ctx)
			r.Snapshot = time.Since(from)
			snapshot <- err
		}()
	} else {
		snapshot <- nil
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a workload
	next := began
	for i := 0; ; i++ {
		if c.Count > 0 && i >= c.Count || c.Seconds > 0 && time.Since(began).Seconds() >= c.Seconds {
			break
		}
		if c.Rate > 0 {
			// Evenly spread, but not in step with anything else.
			next = next.Add(time.Duration((0.5 + random.Float64()) / c.Rate * float64(time.Second)))
			<-time.After(time.Until(next))
		}
		from := time.Now()
		if err := a.one(ctx, c, random); err != nil {
			return err
		}
		at := time.Now()
		r.Took = append(r.Took, at.Sub(from))
		if c.Rate > 0 {
			sequence, err := a.w.sequence(ctx)
			if err != nil {
				return err
			}
			r.Commits = append(r.Commits, commit{At: at.UnixNano(), Sequence: sequence})
		}
	}
	return <-snapshot
}

func (a *app) one(ctx context.Context, c command, random *rand.Rand) error {
	switch c.Load {
	case "append":
		return a.w.event(ctx)
	case "update":
		return a.w.account(ctx, random.IntN(accountRows))
	case "both": // what an application does
		if random.IntN(2) == 0 {
			return a.w.event(ctx)
		}
		return a.w.account(ctx, random.IntN(accountRows))
	case "bulk":
		return a.w.events(ctx, c.Rows)
	case "create":
		return a.w.create(ctx, 1)
	case "createmany":
		return a.w.create(ctx, c.Rows)
	case "mixed":
		return a.w.mixed(ctx, c.Rows)
	case "accounts":
		return a.w.accounts(ctx, accountRows)
	}
	return fmt.Errorf("no workload %q", c.Load)
}

// drift writes with generated code.
type drift struct {
	db *orm.DB
	n  int
}

func openDrift(ctx context.Context, file string, r *replicate.Replica) (*drift, error) {
	var o driftdb.Options
	if r != nil { // not an interface that holds nil
		o.Replica = r
	}
	db, err := driftdb.Open(ctx, file, models.Schema, o)
	if err != nil {
		return nil, err
	}
	return &drift{db: db}, nil
}

func (d *drift) event(ctx context.Context) error {
	e := newEvent(d.n)
	d.n++
	return models.Events.Create(ctx, d.db, &e)
}

func (d *drift) account(ctx context.Context, id int) error {
	d.n++
	return models.Accounts.Update(ctx, d.db, accountID(id), models.Accounts.Balance.Set(int64(d.n)))
}

func (d *drift) events(ctx context.Context, n int) error {
	rows := make([]models.Event, n)
	for i := range rows {
		rows[i] = newEvent(d.n + i)
	}
	d.n += n
	return models.Events.CreateMany(ctx, d.db, rows)
}

func (d *drift) accounts(ctx context.Context, n int) error {
	rows := make([]models.Account, n)
	for i := range rows {
		rows[i] = newAccount(i)
	}
	return models.Accounts.CreateMany(ctx, d.db, rows)
}

func (d *drift) create(ctx context.Context, n int) error {
	rows := make([]models.Account, n)
	for i := range rows {
		rows[i] = newAccount(accountRows + d.n + i)
	}
	d.n += n
	if n == 1 {
		return models.Accounts.Create(ctx, d.db, &rows[0])
	}
	return models.Accounts.CreateMany(ctx, d.db, rows)
}

func (d *drift) mixed(ctx context.Context, n int) error {
	return d.db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		rows := make([]models.Event, n/2)
		for i := range rows {
			rows[i] = newEvent(d.n + i)
		}
		if err := models.Events.CreateMany(ctx, tx, rows); err != nil {
			return err
		}
		for range n / 2 {
			d.n++
			if err := models.Accounts.Update(ctx, tx, accountID(d.n*7919%accountRows), models.Accounts.Balance.Set(int64(d.n))); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropTriggers turns the log off.
func (d *drift) dropTriggers(ctx context.Context) error {
	names, err := orm.RawAll[string](ctx, d.db, `SELECT name FROM sqlite_schema WHERE type = 'trigger'`)
	for _, name := range names {
		if err == nil {
			_, err = d.db.SQL().ExecContext(ctx, `DROP TRIGGER "`+name+`"`)
		}
	}
	return err
}

func (d *drift) commit(ctx context.Context) (p replicate.Position, err error) {
	var tx *orm.Tx
	e := newEvent(1)
	err = d.db.Tx(ctx, func(ctx context.Context, t *orm.Tx) error {
		tx = t
		return models.Events.Create(ctx, t, &e)
	})
	if err != nil {
		return p, err
	}
	return tx.Position(), nil
}

func (d *drift) sequence(ctx context.Context) (int64, error) {
	p, err := d.db.Position(ctx)
	return p.Sequence, err
}

func (d *drift) close(ctx context.Context) error { return d.db.Shutdown(ctx) }

// plain writes the same rows to the same tables with database/sql.
type plain struct {
	db                  *sql.DB
	insert, change, add *sql.Stmt
	n                   int
}

// plainFile makes a file with the tables of the models and no log.
func plainFile(ctx context.Context, file string) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(file), "schema-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := openDrift(ctx, filepath.Join(dir, "schema.sqlite"), nil)
	if err != nil {
		return err
	}
	statements, err := orm.RawAll[string](ctx, d.db, `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index') AND tbl_name NOT GLOB '_driftdb*' AND tbl_name NOT GLOB 'sqlite*' ORDER BY type DESC`)
	if err = errors.Join(err, d.db.Close()); err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", file+"?_journal_mode=WAL&_synchronous=NORMAL")
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	return db.Close()
}

func openPlain(ctx context.Context, file string) (*plain, error) {
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if err := plainFile(ctx, file); err != nil {
			return nil, err
		}
	}
	db, err := sql.Open("sqlite3", file+"?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=5000&_cache_size=-64000&_temp_store=MEMORY")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	p := &plain{db: db}
	if p.insert, err = db.PrepareContext(ctx, `INSERT INTO events (kind, value) VALUES (?, ?)`); err == nil {
		p.change, err = db.PrepareContext(ctx, `UPDATE accounts SET balance = ? WHERE id = ?`)
	}
	if err == nil {
		p.add, err = db.PrepareContext(ctx, addAccount)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

func (p *plain) event(ctx context.Context) error {
	e := newEvent(p.n)
	p.n++
	_, err := p.insert.ExecContext(ctx, e.Kind, e.Value)
	return err
}

func (p *plain) account(ctx context.Context, id int) error {
	p.n++
	_, err := p.change.ExecContext(ctx, p.n, accountID(id))
	return err
}

func (p *plain) events(ctx context.Context, n int) error {
	return p.tx(ctx, func(tx *sql.Tx) error {
		insert := tx.StmtContext(ctx, p.insert)
		for i := range n {
			e := newEvent(p.n + i)
			if _, err := insert.ExecContext(ctx, e.Kind, e.Value); err != nil {
				return err
			}
		}
		p.n += n
		return nil
	})
}

func (p *plain) accounts(ctx context.Context, n int) error {
	return p.tx(ctx, func(tx *sql.Tx) error {
		for i := range n {
			a := newAccount(i)
			if _, err := tx.ExecContext(ctx, addAccount, a.ID, a.Email, a.Owner, a.Balance, a.Note); err != nil {
				return err
			}
		}
		return nil
	})
}

const addAccount = `INSERT INTO accounts (id, email, owner, balance, note) VALUES (?, ?, ?, ?, ?)`

func (p *plain) create(ctx context.Context, n int) error {
	for range n {
		a := newAccount(accountRows + p.n)
		p.n++
		if _, err := p.add.ExecContext(ctx, a.ID, a.Email, a.Owner, a.Balance, a.Note); err != nil {
			return err
		}
	}
	return nil
}

func (p *plain) mixed(context.Context, int) error {
	return errors.New("the plain side has no mixed load")
}

// documents adds n large rows in one transaction.
func (p *plain) documents(ctx context.Context, text *prose, n int) error {
	return p.tx(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO documents (body) VALUES (?)`)
		if err != nil {
			return err
		}
		for range n {
			if _, err := insert.ExecContext(ctx, text.body()); err != nil {
				return errors.Join(err, insert.Close())
			}
		}
		return insert.Close()
	})
}

func (p *plain) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (p *plain) commit(context.Context) (replicate.Position, error) {
	return replicate.Position{}, errors.New("the plain side has no durable commits")
}

func (p *plain) sequence(context.Context) (int64, error) { return 0, nil }

func (p *plain) close(context.Context) error {
	return errors.Join(p.insert.Close(), p.change.Close(), p.add.Close(), p.db.Close())
}
