package replicate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

func sealedOptions(keys ...replicate.Key) replicate.Options {
	o := fast()
	o.Encryption.Keys = keys
	return o
}

// restoreWith restores with keys, or returns the error.
func restoreWith(t testing.TB, store replicate.Store, e replicate.Encryption) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.sqlite")
	_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: fast().Retry, Encryption: e})
	if err != nil {
		if _, statErr := os.Stat(path); statErr == nil {
			t.Fatal("a failed restore left a file")
		}
	}
	return path, err
}

func sameWith(t testing.TB, a *app, store replicate.Store, keys ...replicate.Key) {
	t.Helper()
	path, err := restoreWith(t, store, replicate.Encryption{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dump(t, a.path), dump(t, path)); diff != "" {
		t.Fatalf("restored file differs (-source +restored):\n%s", diff)
	}
}

func get(t testing.TB, store replicate.Store, key string) []byte {
	t.Helper()
	body, _, err := store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, body)
}

func TestEncryptedRoundTrip(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("DisableCompression=%v", plain), func(t *testing.T) {
			is := is.New(t)
			store, key := memstore.New(), replicate.NewKey()
			a := openApp(t, dbPath(t))
			o := sealedOptions(key)
			o.DisableCompression = plain
			r := start(t, a, store, o)
			a.exec(`INSERT INTO items (id, name, data) VALUES (1, 'canary in text', ?)`, []byte("canary in bytes"))
			a.bulk(100, 3000)
			is.NoErr(r.Snapshot(t.Context()))
			a.insert(2, 30)
			flush(t, r)
			sameWith(t, a, store, key)
			shutdown(t, r)

			// Nothing of rows, names of columns or hashes in any stored byte.
			for _, k := range keys(t, store) {
				b := get(t, store, k)
				for _, canary := range []string{"canary", "items", "item 1", "prevHash", "sha256", "CREATE", "SQLite format", key.Reveal()} {
					is.True(!bytes.Contains(b, []byte(canary)))
				}
				is.True(k == replicate.ManifestKey(dbName) || strings.HasSuffix(k, ".enc"))
			}

			// And on another machine it goes on.
			path, err := restoreWith(t, store, replicate.Encryption{Keys: []replicate.Key{key}})
			is.NoErr(err)
			b := openApp(t, path)
			again := start(t, b, store, o)
			b.insert(40, 50)
			flush(t, again)
			sameWith(t, b, store, key)
		})
	}
}

// A wrong or missing key is an error that names the key that is wanted, and
// never a new, empty database.
func TestWrongKeyIsAnError(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, key, other := memstore.New(), replicate.NewKey(), replicate.NewKey()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, sealedOptions(key))
	a.insert(1, 3)
	shutdown(t, r)

	for name, e := range map[string]replicate.Encryption{
		"none":  {},
		"other": {Keys: []replicate.Key{other}},
	} {
		_, err := restoreWith(t, store, e)
		if !errors.Is(err, replicate.ErrNoKey) || !strings.Contains(err.Error(), key.ID().String()) {
			t.Errorf("%s: %v", name, err)
		}
		o := fast()
		o.Encryption, o.AutoRestore = e, true
		path := dbPath(t)
		err = newReplica(t, store, o).Start(t.Context(), path)
		if !errors.Is(err, replicate.ErrNoKey) {
			t.Errorf("%s: start: %v", name, err)
		}
		_, err = os.Stat(path)
		is.True(os.IsNotExist(err))
	}
}

// What sealed objects vouch for, and what they do not.
func TestPlainWhereSealedBelongs(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	key := replicate.NewKey()
	plain, store := memstore.New(), memstore.New()

	// The same database in the clear, as somebody without the key may put it there.
	a := openApp(t, dbPath(t))
	r := start(t, a, plain, fast())
	a.insert(1, 3)
	shutdown(t, r)
	b := openApp(t, dbPath(t))
	r = start(t, b, store, sealedOptions(key))
	b.insert(1, 5)
	shutdown(t, r)
	put(t, store, replicate.ManifestKey(dbName), get(t, plain, replicate.ManifestKey(dbName)))
	for _, k := range keys(t, plain) {
		if k != replicate.ManifestKey(dbName) {
			put(t, store, k, get(t, plain, k))
		}
	}
	_, err := restoreWith(t, store, replicate.Encryption{Keys: []replicate.Key{key}})
	is.True(errors.Is(err, replicate.ErrNotSealed))
	is.True(strings.Contains(err.Error(), "AcceptPlain"))
}

// Encryption can be turned on for a backup that has none; what was stored
// before stays readable.
func TestTurnEncryptionOn(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, key := memstore.New(), replicate.NewKey()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 10)
	shutdown(t, r)

	r = newReplica(t, store, sealedOptions(key))
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(11, 12)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrNotSealed))
	kill(t, r)

	o := sealedOptions(key)
	o.Encryption.AcceptPlain = true
	r = newReplica(t, store, o)
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(13, 15)
	shutdown(t, r)
	sameWith(t, a, store, key)
	_, err := restoreWith(t, store, replicate.Encryption{})
	is.True(errors.Is(err, replicate.ErrNoKey))
}

// The first key of the ring seals and all of them open.
func TestKeyRing(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, old, next := memstore.New(), replicate.NewKey(), replicate.NewKey()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, sealedOptions(old))
	a.insert(1, 10)
	shutdown(t, r)
	r = newReplica(t, store, sealedOptions(next, old))
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(11, 20)
	is.NoErr(r.Snapshot(t.Context()))
	shutdown(t, r)
	sameWith(t, a, store, old, next)
	sameWith(t, a, store, next) // the snapshot is under the new key
	_, err := restoreWith(t, store, replicate.Encryption{Keys: []replicate.Key{old}})
	is.True(errors.Is(err, replicate.ErrNoKey))
	is.True(strings.Contains(err.Error(), next.ID().String()))
}

// Who changes the key has a snapshot under the new one, although nothing has
// changed since the last one; and no other one after that.
func TestKeyRingOfAnIdleFile(t *testing.T) {
	t.Parallel()
	for name, first := range map[string][]replicate.Key{"sealed": {replicate.NewKey()}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			store, next := memstore.New(), replicate.NewKey()
			a := openApp(t, dbPath(t))
			r := start(t, a, store, sealedOptions(first...))
			a.insert(1, 50)
			is.NoErr(r.Snapshot(t.Context()))
			shutdown(t, r)
			_, before := snapshots(t, store)

			o := sealedOptions(append([]replicate.Key{next}, first...)...)
			o.Encryption.AcceptPlain = first == nil
			for range 2 {
				r = start(t, a, store, o)
				is.NoErr(r.Snapshot(t.Context()))
				is.NoErr(r.Snapshot(t.Context()))
				shutdown(t, r)
				_, after := snapshots(t, store)
				is.Equal(after, before+1)
				sameWith(t, a, store, next)
			}
			report, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{Encryption: o.Encryption, Retry: o.Retry})
			is.NoErr(err)
			is.Equal(len(report.Problems), 0)

			a.insert(51, 60) // and it goes on
			r = start(t, a, store, sealedOptions(next))
			flush(t, r)
			shutdown(t, r)
			sameWith(t, a, store, next)
		})
	}
}

// A snapshot that somebody has deleted is not taken for one.
func TestSnapshotThatIsGone(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, key := memstore.New(), replicate.NewKey()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, sealedOptions(key))
	a.insert(1, 5)
	is.NoErr(r.Snapshot(t.Context()))
	shutdown(t, r)
	gone, n := snapshots(t, store)
	is.Equal(n, 1)
	is.NoErr(store.Delete(t.Context(), gone))
	r = start(t, a, store, sealedOptions(key))
	is.NoErr(r.Snapshot(t.Context()))
	shutdown(t, r)
	at, n := snapshots(t, store)
	is.Equal(n, 1)
	is.True(at != gone)
}

// snapshots returns the newest of the stored snapshots, and how many there are.
func snapshots(t testing.TB, store replicate.Store) (last string, n int) {
	t.Helper()
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/snapshots/") {
			last, n = k, n+1
		}
	}
	return last, n
}

func TestKeySource(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, key := memstore.New(), replicate.NewKey()
	asked := 0
	o := fast()
	o.Encryption.Source = func(context.Context) ([]replicate.Key, error) { asked++; return []replicate.Key{key}, nil }
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	a.insert(1, 3)
	shutdown(t, r)
	is.Equal(asked, 1)
	sameWith(t, a, store, key)

	kms := errors.New("the service is away")
	o.Encryption.Source = func(context.Context) ([]replicate.Key, error) { return nil, kms }
	is.True(errors.Is(newReplica(t, store, o).Start(t.Context(), a.path), kms))
	o.Encryption.Source = func(context.Context) ([]replicate.Key, error) { return nil, nil }
	is.True(newReplica(t, store, o).Start(t.Context(), a.path) != nil)
}

func TestKeyFile(t *testing.T) {
	is := is.New(t)
	first, second := replicate.NewKey(), replicate.NewKey()
	path := filepath.Join(t.TempDir(), "keys")
	is.NoErr(os.WriteFile(path, []byte("# newest first\n"+first.Reveal()+"\n\n"+second.Reveal()+"\n"), 0o600))
	ring, err := replicate.KeysFromFile(path)
	is.NoErr(err)
	is.Equal(len(ring), 2)
	is.Equal(ring[0].ID(), first.ID())

	is.NoErr(os.Chmod(path, 0o640))
	_, err = replicate.KeysFromFile(path)
	is.True(err != nil && strings.Contains(err.Error(), "chmod 600"))

	bad := filepath.Join(t.TempDir(), "bad")
	is.NoErr(os.WriteFile(bad, []byte(first.Reveal()+"\nnearly-a-key\n"), 0o600))
	_, err = replicate.KeysFromFile(bad)
	is.True(err != nil && strings.Contains(err.Error(), ":2:") && !strings.Contains(err.Error(), "nearly"))

	t.Setenv("DRIFT_TEST_KEY", first.Reveal()+"\n")
	k, err := replicate.KeyFromEnv("DRIFT_TEST_KEY")
	is.NoErr(err)
	is.Equal(k.ID(), first.ID())
	_, err = replicate.KeyFromEnv("DRIFT_TEST_NO_KEY")
	is.True(err != nil && strings.Contains(err.Error(), "DRIFT_TEST_NO_KEY"))
}

func TestEncryptionOptions(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	k := replicate.NewKey()
	for name, e := range map[string]replicate.Encryption{
		"zero key": {Keys: []replicate.Key{{}}},
		"twice":    {Keys: []replicate.Key{k, k}},
		"no keys":  {AcceptPlain: true},
	} {
		o := fast()
		o.Encryption = e
		_, err := replicate.New(dbName, memstore.New(), o)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	var log bytes.Buffer
	o := sealedOptions(k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "options", o.Encryption.Keys)
	fmt.Fprintf(&log, "%v %+v %#v", o.Encryption, o.Encryption, o.Encryption)
	is.True(!strings.Contains(log.String(), k.Reveal()))
}
