package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/internal/crashtest/models"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

const (
	childEnv = "DRIFTDB_CRASH_DIR"
	dbName   = "bank"
	accounts = 8
	balance  = 1000
)

// child transfers for ever, until it is killed. Each line it prints is a fact:
// "committed N" after a commit has returned, "flushed N" after a Flush that
// began when N was committed.
func child(dir string) error {
	ctx := context.Background()
	db, replica, err := openBank(ctx, dir)
	if err != nil {
		return err
	}
	n, err := prepareBank(ctx, db)
	if err != nil {
		return err
	}
	fmt.Printf("ready %d\n", n)
	for {
		n++
		if err := transfer(ctx, db, n); err != nil {
			return err
		}
		fmt.Printf("committed %d\n", n)
		if n%7 == 0 {
			if err := replica.Flush(ctx); err != nil {
				return err
			}
			fmt.Printf("flushed %d\n", n)
		}
	}
}

// openBank opens the bank of dir, which ships to the bucket of dir.
func openBank(ctx context.Context, dir string) (*orm.DB, *replicate.Replica, error) {
	store, err := filestore.New(filepath.Join(dir, "bucket"), filestore.Options{})
	if err != nil {
		return nil, nil, err
	}
	replica, err := replicate.New(dbName, store, replicate.Options{
		AutoRestore: true,
		Sync:        replicate.Sync{Interval: 20 * time.Millisecond, Debounce: time.Millisecond, ManifestInterval: 15 * time.Millisecond},
		Snapshot:    replicate.SnapshotRule{Every: 150},
		LogTail:     50,
	})
	if err != nil {
		return nil, nil, err
	}
	db, err := driftdb.Open(ctx, filepath.Join(dir, "bank.sqlite"), models.Schema, driftdb.Options{Replica: replica})
	return db, replica, err
}

// prepareBank makes the accounts once and returns the number of the last
// transfer.
func prepareBank(ctx context.Context, db *orm.DB) (last int64, err error) {
	T := models.Transfers
	err = db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		n, err := models.Accounts.Count(ctx, tx)
		if err != nil {
			return err
		}
		if n == 0 {
			all := make([]models.Account, accounts)
			for i := range all {
				all[i] = models.Account{Name: account(i), Balance: balance}
			}
			return models.Accounts.CreateMany(ctx, tx, all)
		}
		newest, err := T.Where().OrderBy(T.N.Desc()).First(ctx, tx)
		if errors.Is(err, orm.ErrNotFound) {
			return nil
		}
		if err == nil {
			last = newest.N
		}
		return err
	})
	return last, err
}

func account(i int) string { return fmt.Sprintf("account %d", i) }

// transfer moves n%100 from one account to another; n also decides which.
func transfer(ctx context.Context, db *orm.DB, n int64) error {
	A := models.Accounts
	from, to, amount := account(int(n%accounts)), account(int((n*3+1)%accounts)), n%100
	return db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if err := models.Transfers.Create(ctx, tx, &models.Transfer{N: n, From: from, To: to, Amount: amount}); err != nil {
			return err
		}
		if err := A.Update(ctx, tx, from, A.Balance.Add(-amount)); err != nil {
			return err
		}
		if err := A.Update(ctx, tx, to, A.Balance.Add(amount)); err != nil {
			return err
		}
		return models.Receipts.Create(ctx, tx, &models.Receipt{N: n, Text: fmt.Sprintf("%d from %s to %s", amount, from, to)})
	})
}

// audit checks that the bank is whole and returns the number of its last
// transfer.
func audit(ctx context.Context, db *orm.DB) (last int64, err error) {
	if err := db.IntegrityCheck(ctx); err != nil {
		return 0, err
	}
	all, err := models.Accounts.All(ctx, db)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, a := range all {
		sum += a.Balance
	}
	if sum != accounts*balance && len(all) > 0 {
		return 0, fmt.Errorf("a torn transaction: the balances sum up to %d, not %d", sum, accounts*balance)
	}
	T := models.Transfers
	for t, err := range T.Where().OrderBy(T.N.Asc()).Each(ctx, db) {
		if err != nil {
			return 0, err
		}
		last++
		if t.N != last {
			return 0, fmt.Errorf("transfer %d is missing: %d follows %d", last, t.N, last-1)
		}
	}
	receipts, err := models.Receipts.Count(ctx, db)
	if err != nil {
		return 0, err
	}
	if receipts != last {
		return 0, fmt.Errorf("a torn transaction: %d transfers, %d receipts", last, receipts)
	}
	return last, nil
}

func runChild() {
	if err := child(os.Getenv(childEnv)); err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
}
