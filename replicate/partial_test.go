package replicate_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// meter counts the bytes that are read of each object, and breaks off reading
// when a limit is reached.
type meter struct {
	*memstore.Store
	mu     sync.Mutex
	read   map[string]int64
	limit  int64 // bytes of one object; 0 for none
	cancel context.CancelFunc
}

func newMeter(s *memstore.Store) *meter { return &meter{Store: s, read: map[string]int64{}} }

func (m *meter) count(body io.ReadCloser, info replicate.Info, err error) (io.ReadCloser, replicate.Info, error) {
	if err != nil {
		return nil, info, err
	}
	return &meteredBody{ReadCloser: body, m: m, key: info.Key}, info, nil
}

func (m *meter) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	return m.count(m.Store.Get(ctx, key))
}

func (m *meter) GetFrom(ctx context.Context, key string, offset int64) (io.ReadCloser, replicate.Info, error) {
	return m.count(m.Store.GetFrom(ctx, key, offset))
}

// objects is what was read but for manifests, since the last call.
func (m *meter) objects() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, read := range m.read {
		if !strings.HasSuffix(key, "manifest.json") {
			n += read
		}
	}
	clear(m.read)
	return n
}

type meteredBody struct {
	io.ReadCloser
	m   *meter
	key string
}

func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 4096)])
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	b.m.read[b.key] += int64(n)
	if limit := b.m.limit; limit > 0 && b.m.read[b.key] >= limit {
		b.m.cancel()
		return n, errors.New("the line is gone")
	}
	return n, err
}

// withoutRanges hides that a store can give the rest of an object.
type withoutRanges struct{ replicate.Store }

// large makes a backup with a snapshot of about a megabyte and batches behind it.
func large(t *testing.T, store replicate.Store, o replicate.Options) *app {
	t.Helper()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	a.in(func(x changelog.Execer) error {
		return x.Exec(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
			INSERT INTO items (id, name, n, data) SELECT i, 'item ' || i, 7 * i, randomblob(1000) FROM n`)
	})
	r := start(t, a, store, o)
	is.NoErr(r.Snapshot(t.Context()))
	for i := 2000; i < 2010; i++ {
		a.insert(i, i)
		flush(t, r)
	}
	shutdown(t, r)
	return a
}

// breakOff restores until 600 KiB of an object were read.
func breakOff(t *testing.T, m *meter, store replicate.Store, to string, o replicate.RestoreOptions) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.mu.Lock()
	m.limit, m.cancel = 600<<10, cancel
	m.mu.Unlock()
	_, err := replicate.Restore(ctx, dbName, store, to, o)
	if err == nil {
		t.Fatal("the restore was not broken off")
	}
	m.mu.Lock()
	m.limit = 0
	m.mu.Unlock()
	if fileExists(t, to) {
		t.Fatal("a restore that was broken off has left a file")
	}
}

// partialDir is where an interrupted restore leaves what it has read.
func partialDir(to string) string { return filepath.Join(to+"-drift", "partial") }

// A restore that was interrupted goes on where it broke off, whatever the
// objects are written with, and leaves nothing but the file.
func TestRestoreResumes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"plain", "gzip", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			is := is.New(t)
			inner := memstore.New()
			o := fast()
			o.DisableCompression = mode == "plain"
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			a := large(t, inner, o)
			m := newMeter(inner)
			ro := replicate.RestoreOptions{Retry: fast().Retry, Encryption: o.Encryption}
			whole, err := replicate.Restore(t.Context(), dbName, m, dbPath(t), ro)
			is.NoErr(err)
			is.Equal(whole.Resumed, int64(0))
			is.Equal(m.objects(), whole.Bytes)

			to := dbPath(t)
			breakOff(t, m, m, to, ro)
			first := m.objects()
			is.True(first >= 600<<10)
			var seen []replicate.RestoreProgress
			ro.Progress = func(p replicate.RestoreProgress) { seen = append(seen, p) }
			result, err := replicate.Restore(t.Context(), dbName, m, to, ro)
			is.NoErr(err)
			second := m.objects()
			is.True(first+second <= whole.Bytes+64) // a byte is read twice
			is.Equal(result.Bytes, second)
			is.Equal(result.Resumed+result.Bytes, whole.Bytes)
			is.Equal(dump(t, a.path), dump(t, to))
			is.True(!fileExists(t, partialDir(to)))
			last := seen[len(seen)-1]
			is.Equal(last.Bytes, last.TotalBytes)
			is.Equal(last.TotalBytes, whole.Bytes)
			is.Equal(last.Sequence, last.Target)
			is.True(last.Rate > 0)
		})
	}
}

// A store without ranges: what was read whole is not read again.
func TestRestoreResumesWithoutRanges(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := large(t, inner, fast())
	m := newMeter(inner)
	to := dbPath(t)
	ro := replicate.RestoreOptions{Retry: fast().Retry}
	breakOff(t, m, withoutRanges{m}, to, ro)
	result, err := replicate.Restore(t.Context(), dbName, withoutRanges{m}, to, ro)
	is.NoErr(err)
	is.True(result.Resumed == 0)
	is.Equal(dump(t, a.path), dump(t, to))
}

// What was left is checked like everything else: damage there is read again
// from the bucket. Another database's, or what pruning has replaced, is removed.
func TestRestoreDistrustsWhatWasLeft(t *testing.T) {
	t.Parallel()
	inner := memstore.New()
	a := large(t, inner, fast())
	m := newMeter(inner)
	ro := replicate.RestoreOptions{Retry: fast().Retry}
	for name, meddle := range map[string]func(is *is.I, file string){
		"damaged": func(is *is.I, file string) {
			b, err := os.ReadFile(file)
			is.NoErr(err)
			is.NoErr(os.WriteFile(file, flip(b, 1000), 0o600))
		},
		"zeros": func(is *is.I, file string) { // as after a power failure
			info, err := os.Stat(file)
			is.NoErr(err)
			is.NoErr(os.WriteFile(file, make([]byte, info.Size()), 0o600))
		},
		"longer": func(is *is.I, file string) { is.NoErr(os.WriteFile(file, make([]byte, 3<<20), 0o600)) },
		"said to be whole": func(is *is.I, file string) {
			is.NoErr(os.Rename(file, strings.TrimSuffix(file, ".part")))
		},
		"empty": func(is *is.I, file string) { is.NoErr(os.Truncate(file, 0)) },
		"another database's": func(is *is.I, file string) {
			is.NoErr(os.WriteFile(filepath.Join(filepath.Dir(file), "state.json"), []byte(`{"version":1,"database":"other"}`), 0o600))
		},
		"no state": func(is *is.I, file string) {
			is.NoErr(os.Remove(filepath.Join(filepath.Dir(file), "state.json")))
		},
		"not called for": func(is *is.I, file string) {
			is.NoErr(os.WriteFile(filepath.Join(filepath.Dir(file), strings.Repeat("ab", 32)), []byte("x"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			to := dbPath(t)
			breakOff(t, m, m, to, ro)
			parts, err := filepath.Glob(filepath.Join(partialDir(to), "*.part"))
			is.NoErr(err)
			is.Equal(len(parts), 1)
			meddle(is, parts[0])
			result, err := replicate.Restore(t.Context(), dbName, m, to, ro)
			is.NoErr(err)
			is.Equal(len(result.Damaged), 0)
			is.Equal(dump(t, a.path), dump(t, to))
			is.True(!fileExists(t, partialDir(to)))
		})
	}
}

// An owner that goes on meanwhile changes the manifest: what still counts is
// used, what does not is removed.
func TestRestoreResumesAfterTheManifestMoved(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := large(t, inner, fast())
	m := newMeter(inner)
	ro := replicate.RestoreOptions{Retry: fast().Retry}
	to, other := dbPath(t), dbPath(t)
	breakOff(t, m, m, to, ro)
	breakOff(t, m, m, other, ro)
	r := start(t, a, inner, fast())
	a.insert(3000, 3010)
	flush(t, r)
	m.objects()
	result, err := replicate.Restore(t.Context(), dbName, m, to, ro)
	is.NoErr(err)
	is.True(result.Resumed > 500<<10)
	is.Equal(dump(t, a.path), dump(t, to))

	is.NoErr(r.Snapshot(t.Context()))
	for _, k := range keys(t, inner) { // as pruning does
		if strings.Contains(k, "/snapshots/") && k != manifest(t, inner).Snapshots[len(manifest(t, inner).Snapshots)-1] {
			is.NoErr(inner.Delete(t.Context(), k))
		}
	}
	result, err = replicate.Restore(t.Context(), dbName, m, other, ro)
	is.NoErr(err)
	is.Equal(result.Resumed, int64(0))
	is.Equal(dump(t, a.path), dump(t, other))
}

// Every error that reading again does not mend leaves nothing beside the lock.
func TestRestoreLeavesNothingAfterDamage(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	large(t, store, fast())
	for _, k := range keys(t, store) {
		if k != replicate.ManifestKey(dbName) {
			b := get(t, store, k)
			put(t, store, k, flip(b, len(b)/2))
		}
	}
	to := dbPath(t)
	_, err := replicate.Restore(t.Context(), dbName, store, to, replicate.RestoreOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrCorrupt))
	is.True(!fileExists(t, to))
	is.True(!fileExists(t, partialDir(to)))
	// A name with a slip in it does not even leave the lock.
	_, err = replicate.Restore(t.Context(), "bnak", store, to+"2", replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrNoBackup))
	is.True(!fileExists(t, to+"2-drift"))
	_, err = replicate.Restore(t.Context(), dbName, store, to+"2", replicate.RestoreOptions{DryRun: true})
	is.NoErr(err)
	is.True(!fileExists(t, to+"2-drift"))
	for _, path := range []string{"", ":memory:"} {
		_, err = replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{})
		is.True(err != nil && strings.Contains(err.Error(), "driftdb.OpenAt"))
	}
}

// A take-over restores, too: an automatic restore goes on where it broke off.
func TestAutoRestoreResumes(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := large(t, inner, fast())
	m := newMeter(inner)
	to := dbPath(t)
	o := fast()
	o.AutoRestore = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.limit, m.cancel = 600<<10, cancel
	err := newReplica(t, m, o).Prepare(ctx, to)
	is.True(err != nil)
	is.True(!fileExists(t, to))
	m.limit = 0
	first := m.objects()
	r := newReplica(t, m, o)
	is.NoErr(r.Prepare(t.Context(), to))
	is.True(m.objects() < first) // the rest, and less than all
	is.Equal(dump(t, a.path), dump(t, to))
	is.True(!fileExists(t, partialDir(to)))
	is.NoErr(r.Close())
}
