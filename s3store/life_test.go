package s3store_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/internal/crashtest/models"
	"github.com/driftdb/driftdb/internal/faultproxy"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

// wireFaults are what a server or a network does to a request.
func wireFaults() map[string]faultproxy.Rule {
	return map[string]faultproxy.Rule{
		"500":                   {Fault: faultproxy.Refuse, Status: http.StatusInternalServerError, Code: "InternalError"},
		"503 storm":             {Fault: faultproxy.Refuse, Status: http.StatusServiceUnavailable, Code: "SlowDown", Times: 7},
		"timeout after success": {Fault: faultproxy.DropReply},
		"500 after success":     {Fault: faultproxy.RefuseAfter, Status: http.StatusInternalServerError, Code: "InternalError"},
		"connection lost":       {Fault: faultproxy.Drop},
		"body cut":              {Method: http.MethodGet, Fault: faultproxy.CutBody},
		"403":                   {Fault: faultproxy.Refuse, Status: http.StatusForbidden, Code: "AccessDenied"},
		"404 bucket":            {Fault: faultproxy.Refuse, Status: http.StatusNotFound, Code: "NoSuchBucket"},
		"412":                   {Method: http.MethodPut, Fault: faultproxy.Refuse, Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"},
		"a page of a proxy":     {Fault: faultproxy.Refuse, Status: http.StatusNotFound},
		"slow":                  {Fault: faultproxy.Slow, Delay: 20 * time.Millisecond, Times: 20},
		"no answer":             {Fault: faultproxy.Hang},
	}
}

// A whole life of a backup over the SDK and the wire, with each kind of fault at
// several of its requests: each step ends in success or an error that tells what
// it is, nothing acknowledged is lost, and all converges.
func TestLifeUnderWireFaults(t *testing.T) {
	nths := []int{2, 27}
	if os.Getenv("DRIFTDB_MATRIX") != "" {
		nths = nil
		for n := 1; n <= 90; n++ {
			nths = append(nths, n)
		}
	}
	lifeUnderFaults(t, embeddedTLS(t), nths)
}

// embeddedTLS is the server in the process, over TLS.
func embeddedTLS(t *testing.T) target {
	t.Helper()
	s := server(t, true)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CAPEM()) {
		t.Fatal("no certificate")
	}
	forward := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(forward.CloseIdleConnections)
	return target{bucket: bucket, options: options(t, s), forward: forward}
}

func lifeUnderFaults(t *testing.T, g target, nths []int) {
	lives := 0
	for name, rule := range wireFaults() {
		t.Run(name, func(t *testing.T) {
			for _, nth := range nths {
				lives++
				store, proxy := g.proxied(t, func(o *s3store.Options) {
					o.ReadTimeout = 300 * time.Millisecond
					o.Prefix = fmt.Sprintf("life/%d", lives)
				})
				rule.Nth = nth
				proxy.Set(rule)
				l := &wireLife{t: t, name: fmt.Sprintf("%s, request %d", name, nth), store: store, proxy: proxy, path: filepath.Join(t.TempDir(), "bank.sqlite")}
				l.permanent = rule.Fault == faultproxy.Refuse && (rule.Status == http.StatusForbidden || rule.Code == "NoSuchBucket")
				l.run()
			}
		})
	}
}

// wireLife is one life: a bank that grows, crashes, comes back from the bucket
// and is handed over.
type wireLife struct {
	t         *testing.T
	name      string
	store     replicate.Store
	proxy     *faultproxy.Proxy
	path      string
	permanent bool // what the fault is

	replica *replicate.Replica
	db      *orm.DB
}

func (l *wireLife) fatalf(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("%s: %s", l.name, fmt.Sprintf(format, args...))
}

// attempt does a step again until it succeeds and looks at every error.
func (l *wireLife) attempt(what string, f func(ctx context.Context) error) {
	l.t.Helper()
	for try := 1; ; try++ {
		err := f(l.t.Context())
		if err == nil {
			return
		}
		if l.proxy.Fired() == 0 {
			l.fatalf("%s failed without a fault: %v", what, err)
		}
		for _, never := range []error{
			replicate.ErrForked, replicate.ErrFenced, replicate.ErrNoBackup, replicate.ErrNoRestorePoint, replicate.ErrOwned, replicate.ErrNotExist, replicate.ErrCorrupt,
		} {
			if errors.Is(err, never) {
				l.fatalf("%s: a false alarm: %v", what, err)
			}
		}
		if _, permanent := errors.AsType[*replicate.PermanentError](err); permanent != l.permanent {
			l.fatalf("%s: permanent is %v: %v", what, permanent, err)
		}
		if try == 8 {
			l.fatalf("%s does not recover: %v", what, err)
		}
	}
}

func (l *wireLife) open() {
	l.t.Helper()
	l.attempt("open", func(ctx context.Context) (err error) {
		l.replica, err = replicate.New("bank", l.store, replicate.Options{
			AutoRestore: true,
			Sync:        replicate.Sync{Manual: true},
			Snapshot:    replicate.SnapshotRule{Disabled: true},
			Retry:       replicate.Retry{Base: time.Microsecond, Max: time.Millisecond, MaxAttempts: 3},
		})
		if err != nil {
			return err
		}
		l.db, err = driftdb.Open(ctx, l.path, models.Schema, driftdb.Options{Replica: l.replica})
		return err
	})
}

func (l *wireLife) add(name string) {
	l.t.Helper()
	if err := models.Accounts.Create(l.t.Context(), l.db, &models.Account{Name: name, Balance: 1}); err != nil {
		l.fatalf("%v", err)
	}
}

func (l *wireLife) expect(n int) {
	l.t.Helper()
	got, err := models.Accounts.Count(l.t.Context(), l.db)
	if err != nil || got != int64(n) {
		l.fatalf("%d accounts (%v), not %d", got, err, n)
	}
}

func (l *wireLife) run() {
	l.open()
	for i := range 6 {
		l.add(fmt.Sprintf("a%d", i))
		l.attempt("flush", l.replica.Flush)
	}
	l.attempt("snapshot", l.replica.Snapshot)
	l.add("b")
	l.attempt("close", l.closing)
	if err := os.Remove(l.path); err != nil {
		l.fatalf("%v", err)
	}
	l.open()
	l.expect(7)
	l.add("c")
	l.attempt("flush", l.replica.Flush)
	l.attempt("verify", func(ctx context.Context) error {
		_, err := replicate.Verify(ctx, "bank", l.store, replicate.VerifyOptions{Dir: l.t.TempDir(), Retry: replicate.Retry{Base: time.Microsecond, MaxAttempts: 3}})
		return err
	})
	l.attempt("close", l.closing)
	copied := filepath.Join(l.t.TempDir(), "copy.sqlite")
	l.attempt("restore", func(ctx context.Context) error {
		_, err := replicate.Restore(ctx, "bank", l.store, copied, replicate.RestoreOptions{Retry: replicate.Retry{Base: time.Microsecond, MaxAttempts: 3}})
		return err
	})
	db, err := driftdb.Open(l.t.Context(), copied, models.Schema, driftdb.Options{})
	if err != nil {
		l.fatalf("%v", err)
	}
	l.db = db
	l.expect(8)
	if err := db.Close(); err != nil {
		l.fatalf("%v", err)
	}
}

// closing closes the database. After an error what was not shipped is in the
// file: the next start ships it.
func (l *wireLife) closing(context.Context) error {
	err := l.db.Close()
	if err != nil {
		l.open()
	}
	return err
}
