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

Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile or the
machine's role. Encryption keys come from --key-file, or one from the variable DRIFT_KEY.`

// openStore opens the store at a URL.
func openStore(ctx context.Context, text string) (replicate.Store, io.Closer, error) {
	scheme, _, _ := strings.Cut(text, ":")
	switch scheme {
	case "s3":
		bucket, o, err := s3store.ParseURL(text)
		if err != nil {
			return nil, nil, usageError{err}
		}
		s, err := s3store.New(ctx, bucket, o)
		if err != nil {
			return nil, nil, err
		}
		return s, s, nil
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
