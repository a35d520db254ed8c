package replicate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// No hash of what is stored stands anywhere in a sealed bucket, in any encoding:
// rows of few possible values could be guessed from one. The hashes are those
// that the manifest and the batches have inside of their seals, and the file.
func TestSealedBucketHasNoHash(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, key := memstore.New(), replicate.NewKey()
	a := openApp(t, dbPath(t))
	var log bytes.Buffer
	o := sealedOptions(key)
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := start(t, a, store, o)
	for i := 1; i <= 40; i++ { // packs, too
		a.insert(i, i)
		flush(t, r)
		r.WaitForPack()
	}
	is.NoErr(r.Snapshot(t.Context()))
	is.NoErr(r.Mark(t.Context(), "here"))
	shutdown(t, r)

	hashes := map[string]bool{}
	note := regexp.MustCompile(`[0-9a-f]{64}`)
	ro := replicate.ReadOptions{Encryption: o.Encryption}
	for _, k := range keys(t, store) {
		found, err := replicate.Inspect(t.Context(), store, k, ro)
		is.NoErr(err)
		for _, h := range note.FindAllString(string(found.Content), -1) {
			hashes[h] = true
		}
	}
	is.True(len(hashes) > 40) // of every batch, and those of the manifest
	for _, k := range keys(t, store) {
		stored := get(t, store, k)
		for h := range hashes {
			raw, err := hex.DecodeString(h)
			is.NoErr(err)
			for _, form := range [][]byte{raw, []byte(h), []byte(strings.ToUpper(h)), []byte(base64.StdEncoding.EncodeToString(raw)), []byte(h[:16]), raw[:8]} {
				if bytes.Contains(stored, form) || strings.Contains(k, string(form)) {
					t.Errorf("%s holds the hash %s", k, h)
				}
			}
		}
	}

	// Nor the key in what a program prints of its options, or logs.
	j, err := json.Marshal(o.Encryption.Keys)
	is.NoErr(err)
	printed := fmt.Sprintf("%v %+v %#v %s %s %x", o, o, o, j, log.String(), o.Encryption.Keys)
	raw, err := hex.DecodeString(key.Reveal())
	is.NoErr(err)
	for _, secret := range []string{key.Reveal(), strings.ToUpper(key.Reveal()), base64.StdEncoding.EncodeToString(raw), string(raw), fmt.Sprintf("%d", raw)[1:40], fmt.Sprintf("%#v", raw)[8:40]} {
		is.True(!strings.Contains(printed, secret))
	}
}
