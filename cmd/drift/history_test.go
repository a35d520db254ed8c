package main

import (
	"bytes"
	"database/sql"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/changes"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

// kept is the backup of a program that keeps everything, in the bucket and in the
// log: thirty days of it, ten days ago.
type kept struct {
	t              *testing.T
	dir, url, file string
	first          int64 // the oldest point
}

func keepEverything(t *testing.T) *kept {
	t.Helper()
	is := is.New(t)
	k := &kept{t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "app.sqlite")}
	k.url = "file://" + filepath.ToSlash(k.dir)
	store, err := filestore.New(k.dir, filestore.Options{})
	is.NoErr(err)
	now := time.Now().Add(-40 * 24 * time.Hour)
	r, err := replicate.New("bank", store, replicate.Options{
		Now: func() time.Time { return now }, LogTail: math.MaxInt64,
		Sync: replicate.Sync{Manual: true}, Retention: replicate.Retention{Disabled: true},
	})
	is.NoErr(err)
	db, err := driftdb.Open(t.Context(), k.file, changes.Schema, driftdb.Options{Replica: r})
	is.NoErr(err)
	rows := make([]changes.Pair, 10_100) // more than a log keeps by default
	for i := range rows {
		rows[i] = changes.Pair{A: "many", B: int64(i), V: "v"}
	}
	is.NoErr(changes.Pairs.CreateMany(t.Context(), db, rows))
	for day := range int64(30) {
		k.write(db, day, now)
		is.NoErr(r.Snapshot(t.Context()))
		if day == 0 {
			k.first = r.Status().Acknowledged
		}
		now = now.Add(24 * time.Hour)
	}
	is.NoErr(db.Close())
	is.NoErr(store.Close())
	is.NoErr(filepath.WalkDir(k.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(path, now, now)
	}))
	return k
}

// write makes a change at a time of the past.
func (k *kept) write(db *orm.DB, n int64, at time.Time) {
	k.t.Helper()
	is := is.New(k.t)
	is.NoErr(changes.Pairs.Create(k.t.Context(), db, &changes.Pair{A: "day", B: n, V: "v"}))
	raw := k.open()
	_, err := raw.ExecContext(k.t.Context(), `UPDATE _driftdb_log SET timestamp = ? WHERE timestamp > ?`, at.UnixMilli(), at.UnixMilli())
	is.NoErr(err)
	is.NoErr(raw.Close())
}

func (k *kept) open() *sql.DB { return sql.OpenDB(sqlite.Connector(k.file, sqlite.Writer)) }

// log returns how many entries are in the file's log.
func (k *kept) log() (n int64) {
	k.t.Helper()
	is := is.New(k.t)
	raw := k.open()
	is.NoErr(raw.QueryRowContext(k.t.Context(), `SELECT count(*) FROM _driftdb_log`).Scan(&n))
	is.NoErr(raw.Close())
	return n
}

// drift runs the command line against the store and returns the exit code.
func (k *kept) drift(args ...string) (code int, out string) {
	k.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(k.t.Context(), args, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// oldest says whether the oldest point can be restored.
func (k *kept) oldest() bool {
	k.t.Helper()
	store, err := filestore.New(k.dir, filestore.Options{})
	is := is.New(k.t)
	is.NoErr(err)
	_, err = replicate.Restore(k.t.Context(), "bank", store, filepath.Join(k.t.TempDir(), "back.sqlite"), replicate.RestoreOptions{Sequence: k.first})
	is.NoErr(store.Close())
	if err != nil {
		k.t.Log(err)
	}
	return err == nil
}

// What a program keeps is its own affair: a verb that uses its file takes nothing
// away, in the bucket or in the file.
func TestVerbsPruneNothing(t *testing.T) {
	is := is.New(t)
	k := keepEverything(t)
	entries := k.log()
	is.True(entries > 10_000)
	is.True(k.oldest())
	for _, args := range [][]string{
		{"mark", k.url, "bank", k.file, "before-migration"},
		{"snapshot", k.url, "bank", k.file},
		{"unmark", k.url, "bank", k.file, "before-migration"},
		{"take-over", k.url, "bank", k.file},
	} {
		code, out := k.drift(args...)
		t.Log(out)
		is.Equal(code, exitOK)
		is.True(k.oldest())
		is.Equal(k.log(), entries)
	}
}

// Nobody can guess what a program keeps: who prunes has to say it.
func TestPruneWantsARetention(t *testing.T) {
	is := is.New(t)
	k := keepEverything(t)
	for _, flags := range [][]string{{}, {"--window", "720h"}, {"--snapshots", "2"}, {"--window", "0", "--snapshots", "2"}, {"--window", "720h", "--snapshots", "0"}, {"--dry-run", "--window", "-1h"}} {
		code, out := k.drift(append([]string{"prune", k.url, "bank"}, flags...)...)
		t.Log(out)
		is.Equal(code, exitUsage)
		is.True(k.oldest())
	}
	code, out := k.drift("prune", "--dry-run", k.url, "bank")
	is.Equal(code, exitOK)
	is.True(k.oldest())
	is.True(strings.Contains(out, "would delete"))
	is.True(strings.Contains(out, "--window 168h0m0s --snapshots 2")) // what it goes by
	code, _ = k.drift("prune", "--window", "2000h", "--snapshots", "2", k.url, "bank")
	is.Equal(code, exitOK)
	is.True(k.oldest())
	code, _ = k.drift("prune", "--window", "168h", "--snapshots", "2", k.url, "bank")
	is.Equal(code, exitOK)
	is.True(!k.oldest())
}

// Whoever rebuilds a manifest is told what becomes of the histories left out.
func TestRebuiltSaysWhatGoes(t *testing.T) {
	is := is.New(t)
	var out strings.Builder
	r := &replicate.RebuildReport{Name: "bank", NodeID: "a", Written: true}
	rebuilt(&out, r)
	is.True(!strings.Contains(out.String(), "deleted"))
	r.LeftOut = []replicate.RebuildBranch{{Node: "b", Epoch: 3, From: 7, To: 9}}
	rebuilt(&out, r)
	is.True(strings.Contains(out.String(), "left out: b/3 (7-9"))
	is.True(strings.Contains(out.String(), "deleted by the program's next pruning"))
}
