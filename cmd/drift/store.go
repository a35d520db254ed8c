package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
	"github.com/driftdb/driftdb/s3store"
)

const storeHelp = `STORE says where the backups are:

  s3://bucket/prefix?endpoint=https://host:port&region=name   a bucket; prefix defaults to driftdb
  file:///directory                                           a directory

With &unfenced=true a server without conditional writes is used all the same, where no two programs
can ever ship under one name. docs/s3.md has more options of the query.

Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile or the
machine's role. Encryption keys come from --key-file, or one from the variable DRIFT_KEY.`

// openStore opens the store at a URL. The closer is the store as it was opened,
// without what makes it do for a replica.
func openStore(ctx context.Context, text string) (replicate.Store, io.Closer, error) {
	scheme, _, _ := strings.Cut(text, ":")
	switch scheme {
	case "s3":
		return openBucket(ctx, text)
	case "file":
		u, err := url.Parse(text)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" {
			return nil, nil, usageError{errors.New("a directory is written file:///path")}
		}
		dir := filepath.FromSlash(u.Path)
		if info, err := os.Stat(dir); err != nil { //nolint:gosec // the directory that the user names
			return nil, nil, fmt.Errorf("open the store: %w", err) // a mistyped path must not become a new store
		} else if !info.IsDir() {
			return nil, nil, fmt.Errorf("open the store: %s is no directory", dir)
		}
		s, err := filestore.New(dir, filestore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return s, s, nil
	}
	return nil, nil, usageError{errors.New("the store is a URL: s3://bucket/prefix?endpoint=…&region=…, or file:///directory")}
}

// openBucket opens an s3:// URL. Of its options unfenced is ours: the store
// itself has nothing to do with it.
func openBucket(ctx context.Context, text string) (replicate.Store, io.Closer, error) {
	text, loose, err := takeUnfenced(text)
	if err != nil {
		return nil, nil, usageError{err}
	}
	bucket, o, err := s3store.ParseURL(text)
	switch {
	case err != nil:
		return nil, nil, usageError{err}
	case loose && o.Conditional != s3store.ConditionalAuto && o.Conditional != s3store.ConditionalNone:
		return nil, nil, usageError{errors.New("the option unfenced of the URL is for servers without conditional writes: leave it out, or conditional")}
	case loose:
		o.Conditional = s3store.ConditionalNone
	}
	s, err := s3store.New(ctx, bucket, o)
	if err != nil {
		return nil, nil, err
	}
	if loose {
		return replicate.Unfenced(s), s, nil
	}
	return s, s, nil
}

// takeUnfenced takes the option unfenced out of a URL.
func takeUnfenced(text string) (rest string, loose bool, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return text, false, nil //nolint:nilerr // ParseURL says it
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || !query.Has("unfenced") {
		return text, false, nil //nolint:nilerr // likewise
	}
	if values := query["unfenced"]; len(values) != 1 || values[0] != "true" && values[0] != "false" {
		return "", false, errors.New("the option unfenced of the URL is true or false, once")
	}
	loose = query.Get("unfenced") == "true"
	query.Del("unfenced")
	u.RawQuery = query.Encode()
	return u.String(), loose, nil
}

// encryption returns the keys that were given.
func (c *cli) encryption() (e replicate.Encryption, err error) {
	switch {
	case c.keyFile != "":
		e.Keys, err = replicate.KeysFromFile(c.keyFile)
	case os.Getenv("DRIFT_KEY") != "":
		var k replicate.Key
		k, err = replicate.KeyFromEnv("DRIFT_KEY")
		e.Keys = []replicate.Key{k}
	}
	e.AcceptPlain = c.acceptPlain && len(e.Keys) > 0
	return e, err
}

// with opens the store and the keys for f.
func (c *cli) with(ctx context.Context, text string, f func(replicate.Store, replicate.ReadOptions) error) (err error) {
	keys, err := c.encryption()
	if err != nil {
		return err
	}
	store, closer, err := openStore(ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	return f(store, replicate.ReadOptions{Encryption: keys})
}
