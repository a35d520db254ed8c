package s3store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/driftdb/driftdb/replicate"
)

// Conditional says how a server does conditional writes, by which two writers
// are kept apart.
type Conditional int

const (
	// ConditionalAuto is ConditionalIfMatch on Amazon S3. On any other server one
	// small request before the first conditional write sees whether conditions
	// are ignored, which is an error then. Quotes are left out where a server
	// refuses an object's own entity tag with them.
	ConditionalAuto Conditional = iota
	// ConditionalIfMatch sends entity tags in quotes, as HTTP has them, and takes
	// the server's word.
	ConditionalIfMatch
	// ConditionalIfMatchUnquoted sends them without, as some servers built on
	// Ceph want them, and takes the server's word.
	ConditionalIfMatchUnquoted
	// ConditionalNone is for a server that has none: conditional writes are
	// refused here. Only replicate.Unfenced can use such a store to write.
	ConditionalNone
)

// conditionalNames are those of URLs.
func conditionalNames() []string {
	return []string{"auto", "if-match", "if-match-unquoted", "none"}
}

// String returns the name that stands for c in a URL.
func (c Conditional) String() string {
	if names := conditionalNames(); c >= 0 && int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("Conditional(%d)", int(c))
}

// Conditional returns how the store does conditional writes: ConditionalAuto
// until the first of them, or Check, has found out.
func (s *Store) Conditional() Conditional {
	form, _ := s.conditions.known()
	return form
}

// ignored is what to do about a server that does as if there were no conditions.
const ignored = "this server does not do conditional writes, without which two writers overwrite each other: use another one, or, if no two can ever ship under one name, replicate.Unfenced"

// conditions is what is known of a server's conditional writes.
type conditions struct {
	turn chan struct{} // one asks at a time; a mutex would not end with a context

	mu    sync.Mutex
	heeds bool        // it has refused what did not hold
	form  Conditional // Auto until one form was seen to work
}

func newConditions(c Conditional, endpoint string) *conditions {
	if c == ConditionalAuto && amazon(endpoint) {
		c = ConditionalIfMatch
	}
	return &conditions{turn: make(chan struct{}, 1), form: c, heeds: c != ConditionalAuto}
}

func (c *conditions) known() (form Conditional, heeds bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.form, c.heeds
}

func (c *conditions) learn(form Conditional) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heeds = true
	if c.form == ConditionalAuto {
		c.form = form
	}
}

// putIf is Put under a condition.
func (s *Store) putIf(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if err := s.heeded(ctx, key); err != nil {
		return "", err
	}
	form, _ := s.conditions.known()
	etag, err := s.putOnce(ctx, key, body, cond, form)
	switch {
	case cond.IfMatch == "" || form != ConditionalAuto:
	case err == nil && s.inOne(body.Size): // completing an upload proves nothing: Ceph ignores conditions there
		s.conditions.learn(ConditionalIfMatch)
	case errors.Is(err, replicate.ErrPrecondition):
		return s.putUnquoted(ctx, key, body, cond, err)
	}
	return etag, err
}

// heeded makes sure, once, that the server does not ignore conditions.
func (s *Store) heeded(ctx context.Context, key string) error {
	form, heeds := s.conditions.known()
	if form == ConditionalNone {
		return replicate.Permanent(fmt.Errorf("s3 put %q in bucket %q: Conditional is ConditionalNone", s.prefix+key, s.bucket),
			"a conditional write needs a server that has them, or replicate.Unfenced where no two can ever ship under one name")
	}
	if heeds {
		return nil
	}
	select {
	case s.conditions.turn <- struct{}{}:
		defer func() { <-s.conditions.turn }()
	case <-ctx.Done():
		return s.fail(ctx, opPut, key, ctx.Err())
	}
	if _, heeds = s.conditions.known(); heeds { // somebody else has asked meanwhile
		return nil
	}
	if err := s.probe(ctx, ConditionalIfMatch); err != nil {
		return err
	}
	s.conditions.learn(ConditionalAuto)
	return nil
}

// probe writes an object that must not come about: its condition is an entity
// tag that no object has, at a key that is not there.
func (s *Store) probe(ctx context.Context, form Conditional) error {
	tag := make([]byte, 16)
	_, _ = rand.Read(tag) // never fails
	key := "check/" + strings.ToLower(rand.Text())
	body := replicate.Body{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("x"))), nil }, Size: 1}
	_, err := s.putOnce(ctx, key, body, replicate.Condition{IfMatch: hex.EncodeToString(tag)}, form)
	if errors.Is(err, replicate.ErrPrecondition) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("see whether the server does conditional writes: %w", err)
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterDeadline)
	defer cancel()
	_ = s.Delete(clean, key) // what matters more is said below
	return replicate.Permanent(fmt.Errorf("bucket %q: an object was stored although its condition, If-Match, did not hold", s.bucket), ignored)
}

// putUnquoted is asked for after a refusal, by a server of which it is not known
// whether it takes entity tags in quotes. The object at key tells: if it has the
// very entity tag, the quotes were refused.
func (s *Store) putUnquoted(ctx context.Context, key string, body replicate.Body, cond replicate.Condition, refusal error) (string, error) {
	switch same, err := s.hasTag(ctx, key, cond.IfMatch); {
	case err != nil:
		return "", err
	case !same:
		return "", refusal
	}
	if err := s.probe(ctx, ConditionalIfMatchUnquoted); err != nil {
		return "", err
	}
	etag, err := s.putOnce(ctx, key, body, cond, ConditionalIfMatchUnquoted)
	switch {
	case err == nil && s.inOne(body.Size):
		s.conditions.learn(ConditionalIfMatchUnquoted)
		s.log.InfoContext(ctx, "s3: this server takes entity tags in If-Match only without quotes", "bucket", s.bucket)
	case errors.Is(err, replicate.ErrPrecondition):
		if same, headErr := s.hasTag(ctx, key, cond.IfMatch); headErr == nil && same {
			return "", replicate.Permanent(fmt.Errorf("s3 put %q in bucket %q: If-Match with the object's own entity tag was refused, with quotes and without", s.prefix+key, s.bucket), ignored)
		}
	}
	return etag, err
}

func (s *Store) hasTag(ctx context.Context, key, etag string) (bool, error) {
	head, err := s.head(ctx, s.key(key))
	if err != nil {
		return false, s.fail(ctx, opHead, key, err)
	}
	return head.ETag == etag, nil
}

// head asks what stands at a key of the bucket. It returns the zero Info where a
// successful look-up found nothing.
func (s *Store) head(ctx context.Context, key *string) (replicate.Info, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: key})
	if a, ok := answerOf(err); ok && err != nil && a.status == http.StatusNotFound && a.code != "NoSuchBucket" {
		return replicate.Info{}, nil
	}
	if err != nil {
		return replicate.Info{}, err
	}
	return replicate.Info{ETag: unquote(out.ETag), Size: aws.ToInt64(out.ContentLength)}, nil
}

// writeCondition writes cond into a request's headers. Entity tags are without
// quotes outside of requests, because servers do not agree on them.
func writeCondition(in *s3.PutObjectInput, cond replicate.Condition, form Conditional) {
	switch {
	case cond.IfAbsent:
		in.IfNoneMatch = aws.String("*")
	case cond.IfMatch != "" && form == ConditionalIfMatchUnquoted:
		in.IfMatch = aws.String(cond.IfMatch)
	case cond.IfMatch != "":
		in.IfMatch = aws.String(`"` + cond.IfMatch + `"`)
	}
}
