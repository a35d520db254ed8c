package s3store

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// secrets knows the credentials last used, in order to keep them out of errors:
// a server's message may repeat what it was sent.
type secrets struct {
	last atomic.Pointer[aws.Credentials]
}

// clean returns text on one line, of bounded length and without credentials.
func (s *secrets) clean(text string) string {
	if c := s.last.Load(); c != nil {
		for _, secret := range []string{c.SecretAccessKey, c.SessionToken, c.AccessKeyID} {
			if len(secret) >= 4 { // shorter ones are not secrets, and would shred the text
				text = strings.ReplaceAll(text, secret, "[redacted]")
			}
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	const limit = 300
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// watchedCredentials tells secrets about the credentials that pass, and marks
// errors of their source.
type watchedCredentials struct {
	next    aws.CredentialsProvider
	secrets *secrets
}

// Retrieve returns the current credentials.
func (w *watchedCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := w.next.Retrieve(ctx)
	if err != nil {
		return c, errors.Join(errNoCredentials, err)
	}
	w.secrets.last.Store(&c)
	return c, nil
}

// errNoCredentials marks an error of the source of credentials.
var errNoCredentials = errors.New("no credentials")
