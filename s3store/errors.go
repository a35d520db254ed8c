package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/driftdb/driftdb/replicate"
)

// op names an operation in errors and chooses the permission to ask for.
type op string

const (
	opGet    op = "get"
	opRead   op = "read"
	opPut    op = "put"
	opHead   op = "head"
	opList   op = "list"
	opDelete op = "delete"
)

// permission is the IAM action that an operation needs.
func (o op) permission() string {
	switch o {
	case opPut:
		return "s3:PutObject"
	case opList:
		return "s3:ListBucket"
	case opDelete:
		return "s3:DeleteObject"
	default:
		return "s3:GetObject"
	}
}

// answer is what a server said, as far as it is shown.
type answer struct {
	status  int
	code    string
	message string
	request string // the server's id of the request, to find it in its log
}

// fail renders an error of an operation on key and says what kind it is. What
// comes out holds no error of the SDK: those print requests, and timeouts of a
// connection among them pass for context.DeadlineExceeded.
func (s *Store) fail(ctx context.Context, op op, key string, err error) error {
	where := fmt.Sprintf("s3 %s %q in bucket %q", op, s.prefix+key, s.bucket)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", where, ctx.Err())
	}
	a, ok := answerOf(err)
	if !ok {
		return s.failUnanswered(where, err)
	}
	text := fmt.Errorf("%s: %d %s: %s (request %s)", where, a.status, s.secrets.clean(a.code), s.secrets.clean(a.message), s.secrets.clean(a.request))
	if op == opGet && a.code == "NoSuchKey" {
		return fmt.Errorf("%w: %w", text, replicate.ErrNotExist)
	}
	if reason := s.reason(op, a); reason != "" {
		return replicate.Permanent(text, reason)
	}
	return text
}

// failPut also knows the answers to a condition.
func (s *Store) failPut(ctx context.Context, key string, cond replicate.Condition, err error) error {
	conditional := cond.IfAbsent || cond.IfMatch != ""
	a, answered := answerOf(err)
	switch {
	case errors.Is(err, replicate.ErrPrecondition),
		conditional && answered && a.status == http.StatusPreconditionFailed,
		cond.IfMatch != "" && answered && a.code == "NoSuchKey": // S3's answer where there is nothing to match
		return fmt.Errorf("s3 put %q in bucket %q: %w", s.prefix+key, s.bucket, replicate.ErrPrecondition)
	case conditional && answered && a.status == http.StatusNotImplemented:
		return replicate.Permanent(s.fail(ctx, opPut, key, err),
			ignored)
	}
	return s.fail(ctx, opPut, key, err)
}

// failUnanswered renders errors without an answer of the server: of the
// network, of the source of credentials, of the SDK's own checks.
func (s *Store) failUnanswered(where string, err error) error {
	var urlErr *url.Error
	switch {
	case errors.Is(err, errNoCredentials):
		// Transient all the same: instance roles come late on some platforms.
		return fmt.Errorf("%s: no credentials: set AccessKeyID and SecretAccessKey, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role: %s", where, s.secrets.clean(root(err).Error()))
	case errors.As(err, &urlErr):
		err = urlErr.Err // without the URL
	}
	text := s.secrets.clean(err.Error())
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %s", where, strings.TrimSuffix(text, ": "+io.ErrUnexpectedEOF.Error())+": "+io.ErrUnexpectedEOF.Error())
	}
	return fmt.Errorf("%s: %s", where, text)
}

// root returns the innermost error of a chain: the SDK wraps many times.
func root(err error) error {
	for {
		var next error
		switch e := err.(type) { //nolint:errorlint // a walk over the chain itself
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			next = all[len(all)-1]
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		}
		if next == nil {
			return err
		}
		err = next
	}
}

// answerOf returns the server's answer that err stands for.
func answerOf(err error) (answer, bool) {
	var a answer
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		a.status = response.HTTPStatusCode()
	}
	if withID, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		a.request = withID.ServiceRequestID()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		a.code, a.message = api.ErrorCode(), api.ErrorMessage()
	}
	// An error status whose body was no error of S3, as from a proxy.
	if a.code == "" && a.status >= http.StatusMultipleChoices {
		a.code = strings.ReplaceAll(http.StatusText(a.status), " ", "")
		a.message = "the answer is not one of an S3 server"
	}
	return a, a.code != ""
}
