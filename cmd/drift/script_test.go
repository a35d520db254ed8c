package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/changes"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"drift": main, "app": app})
}

type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// app is a program with a database: app STORE NAME FILE statement…. Each
// statement is a transaction: +7 makes the row 7, ~7 changes it, -7 deletes it,
// snapshot stores the file, and crash ends the program after what was flushed.
// Between away and back the bucket takes nothing, and hardly any log may wait.
func app() {
	if err := runApp(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runApp(ctx context.Context, store, name, path string, statements []string) (err error) {
	c := &cli{}
	return c.with(ctx, store, func(s replicate.Store, ro replicate.ReadOptions) error {
		faulty := faultstore.New(s)
		o := replicate.Options{
			Encryption: ro.Encryption, Sync: replicate.Sync{Manual: true},
			Retry: replicate.Retry{Base: time.Millisecond, Max: time.Millisecond, MaxAttempts: 2},
		}
		if slices.Contains(statements, "away") {
			o.Backlog = replicate.Backlog{Policy: replicate.BacklogResnapshot, Alarm: 1, Bound: 1}
		}
		r, err := replicate.New(name, faulty, o)
		if err != nil {
			return err
		}
		db, err := driftdb.Open(ctx, path, changes.Schema, driftdb.Options{Replica: r})
		if err != nil {
			return err
		}
		for _, st := range statements {
			if err := statement(ctx, db, r, faulty, st); err != nil {
				return errors.Join(fmt.Errorf("%s: %w", st, err), db.Close())
			}
		}
		return db.Close()
	})
}

func statement(ctx context.Context, db *orm.DB, r *replicate.Replica, store *faultstore.Store, st string) error {
	switch st {
	case "snapshot":
		return r.Snapshot(ctx)
	case "crash":
		if err := r.Flush(ctx); err != nil {
			return err
		}
		os.Exit(0)
	case "away":
		store.Set(faultstore.Always(faultstore.Any, "", faultstore.Error))
		return nil
	case "back":
		if err := r.Flush(ctx); !errors.Is(err, faultstore.ErrInjected) {
			return fmt.Errorf("the bucket is away: %w", err)
		}
		store.Set()
		return r.Flush(ctx)
	}
	n, err := strconv.ParseInt(st[1:], 10, 64)
	if err != nil {
		return err
	}
	switch st[0] {
	case '+':
		return changes.Pairs.Create(ctx, db, &changes.Pair{A: "a", B: n, V: "new"})
	case '~':
		return changes.Pairs.Update(ctx, db, changes.PairKey{A: "a", B: n}, changes.Pairs.V.Set("changed"))
	}
	_, err = changes.Pairs.Delete(ctx, db, changes.PairKey{A: "a", B: n})
	return err
}

// TestScripts runs every script against a directory, and against an S3 server:
// the one at S3_ENDPOINT (see .ci/start-real-s3.sh), or one in this process.
func TestScripts(t *testing.T) {
	for _, kind := range []string{"file", "s3"} {
		t.Run(kind, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir: "testdata/script",
				Setup: func(env *testscript.Env) error {
					dir := filepath.Join(env.WorkDir, "store")
					if err := os.Mkdir(dir, 0o700); err != nil {
						return err
					}
					store := "file://" + filepath.ToSlash(dir)
					if kind == "s3" {
						store = bucketURL(t, env)
					}
					env.Setenv("STORE", store)
					env.Setenv("KIND", kind)
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"damage": damage, "lose": lose, "code": code, "v1": original},
			})
		})
	}
}

// bucketURL returns a new bucket in an S3 server.
func bucketURL(t *testing.T, env *testscript.Env) string {
	t.Helper()
	if endpoint := os.Getenv("S3_ENDPOINT"); endpoint != "" {
		env.Setenv("AWS_CA_BUNDLE", os.Getenv("S3_CA"))
		for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
			env.Setenv(name, os.Getenv(name))
		}
		return newBucket(t, endpoint)
	}
	inner := gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Del("start-after") // it would skip a key; without it all are listed
		r.URL.RawQuery = q.Encode()
		inner.ServeHTTP(w, r)
	}))
	env.Defer(server.Close)
	env.Setenv("AWS_ACCESS_KEY_ID", "id")
	env.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	return "s3://bucket/p?region=us-east-1&endpoint=" + url.QueryEscape(server.URL)
}

func newBucket(t *testing.T, endpoint string) string {
	t.Helper()
	t.Setenv("AWS_CA_BUNDLE", os.Getenv("S3_CA"))
	once := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.DisableKeepAlives = true })
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithHTTPClient(once))
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })
	bucket := "drift-" + strings.ToLower(rand.Text())
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	return "s3://" + bucket + "/p?endpoint=" + url.QueryEscape(endpoint)
}

// inStore calls f with the script's store.
func inStore(ts *testscript.TestScript, f func(ctx context.Context, s replicate.Store)) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE"} {
		if v := ts.Getenv(name); v != "" {
			ts.Check(os.Setenv(name, v))
		}
	}
	ctx := context.Background()
	s, closer, err := openStore(ctx, ts.Getenv("STORE"))
	ts.Check(err)
	f(ctx, s)
	ts.Check(closer.Close())
}

func put(ts *testscript.TestScript, s replicate.Store, key string, b []byte) {
	_, err := s.Put(context.Background(), key, bytesBody(b), replicate.Condition{})
	ts.Check(err)
}

// original stores what the original DriftDB would.
func original(ts *testscript.TestScript, _ bool, _ []string) {
	inStore(ts, func(_ context.Context, s replicate.Store) {
		const manifest = `{"dbName":"x","nodeId":"9a1c40445b46","latestSnapshotKey":null,"latestSnapshotTimestamp":null,"latestLogSequence":2,"updatedAt":1795400705440}`
		put(ts, s, "databases/my app/manifest.json", []byte(manifest))
		put(ts, s, "databases/my-app/manifest.json", []byte(manifest))
		put(ts, s, "databases/my app/nodes/9a1c40445b46/logs/000000000001-000000000002.json", []byte(`{"version":1,"nodeId":"9a1c40445b46","fromSequence":1,"toSequence":2,"entries":[`+
			`{"sequence":1,"timestamp":1,"table":"posts","operation":"insert","data":{"id":"a","createdAt":1,"updatedAt":1,"title":"x"}},`+
			`{"sequence":2,"timestamp":1,"table":"posts","operation":"update","data":{"where":{"id":"a"},"data":{"title":"1970-01-01T00:00:00.000Z","updatedAt":2}}}]}`))
	})
}

// lose deletes the stored objects whose keys contain a text.
func lose(ts *testscript.TestScript, _ bool, args []string) {
	inStore(ts, func(ctx context.Context, s replicate.Store) {
		var lost []string
		for info, err := range s.List(ctx, "", "") {
			ts.Check(err)
			if strings.Contains(info.Key, args[0]) {
				lost = append(lost, info.Key)
			}
		}
		if len(lost) == 0 {
			ts.Fatalf("no object with %q in its key", args[0])
		}
		ts.Check(s.Delete(ctx, lost...))
	})
}

// damage changes a byte of the stored objects whose keys contain a text.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	found := false
	inStore(ts, func(ctx context.Context, s replicate.Store) {
		for info, err := range s.List(ctx, "", "") {
			ts.Check(err)
			if !strings.Contains(info.Key, args[0]) {
				continue
			}
			found = true
			body, _, err := s.Get(ctx, info.Key)
			ts.Check(err)
			b := make([]byte, info.Size)
			_, err = fullRead(body, b)
			ts.Check(errors.Join(err, body.Close()))
			b[len(b)/2] ^= 1
			put(ts, s, info.Key, b)
		}
	})
	if !found {
		ts.Fatalf("no object with %q in its key", args[0])
	}
}

// code runs drift and wants an exit code: code 3 status …
func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("drift", args[1:]...)
	got := 0
	if err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
