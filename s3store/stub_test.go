package s3store_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

// stub is a server that answers as the test says.
func stub(t *testing.T, handler http.HandlerFunc) s3store.Options {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s3store.Options{Endpoint: s.URL, AccessKeyID: "canary-id-0123456789", SecretAccessKey: "canary-secret-0123456789", SessionToken: "canary-token-0123456789"}
}

func answer(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
}

// TestNoCredentialsInErrors: a server that repeats all it was sent, in every
// field of its answers.
func TestNoCredentialsInErrors(t *testing.T) {
	for _, status := range []int{200, 301, 400, 401, 403, 404, 409, 412, 500, 501, 503} {
		o := stub(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			all := fmt.Sprint(r.Header, " canary-secret-0123456789 ", r.URL)
			w.Header().Set("X-Amz-Request-Id", strings.ReplaceAll(all, "\n", " "))
			answer(w, status, "Code canary-id-0123456789", all)
		})
		store := open(t, o)
		errs := map[string]error{}
		_, errs["get"] = read(t, store, "k")
		_, errs["put"] = store.Put(t.Context(), "k", bodyOf(noise(1, 10)), ifAbsent)
		_, errs["parts"] = store.Put(t.Context(), "k", streamOf(noise(1, 6<<20)), replicate.Condition{})
		for _, errs["list"] = range store.List(t.Context(), "", "") {
		}
		errs["delete"] = store.Delete(t.Context(), "k", "l")
		errs["check"] = store.Check(t.Context())
		for name, err := range errs {
			if text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err); strings.Contains(text, "canary") || strings.Contains(text, "Signature=") && strings.Contains(text, "Credential=canary") {
				t.Errorf("%s, status %d: %s", name, status, text)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "canary") || strings.ContainsAny(e.Error(), "\r\x00") {
					t.Errorf("%s, status %d: an inner error shows credentials: %v", name, status, e)
				}
			}
		}
	}
	// An endpoint that is away: the URL is not for everybody either.
	o := stub(t, nil)
	o.Endpoint = "http://127.0.0.1:1"
	_, err := read(t, open(t, o), "k")
	transient(t, err)
	if strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}

// TestPermanentRefusals: a person must act, and is told how.
func TestPermanentRefusals(t *testing.T) {
	for _, c := range []struct {
		status       int
		code, advice string
	}{
		{404, "NoSuchBucket", `"bucket" does not exist: create it or correct the name`},
		{400, "InvalidBucketName", "legal name"},
		{301, "PermanentRedirect", "another region"},
		{400, "AuthorizationHeaderMalformed", "set Region"},
		{403, "InvalidAccessKeyId", "AccessKeyID"},
		{403, "SignatureDoesNotMatch", "secret access key"},
		{400, "ExpiredToken", "session token has expired"},
		{400, "InvalidToken", "SessionToken"},
		{403, "AccessDenied", "grant s3:"},
		{403, "SomethingNew", "permissions"},
		{401, "Unauthorized", "credentials"},
		{501, "NotImplemented", "docs/s3.md"},
		{405, "MethodNotAllowed", "docs/s3.md"},
		{400, "XAmzContentSHA256Mismatch", "ChecksumsWhenRequired"},
		{400, "InvalidArgument", "ChecksumsWhenRequired"},
	} {
		is := is.New(t)
		store := open(t, stub(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			answer(w, c.status, c.code, "no")
		}))
		_, err := read(t, store, "k")
		is.True(strings.Contains(permanent(err), c.advice)) // get
		is.True(strings.Contains(err.Error(), c.code))
		is.True(!errors.Is(err, replicate.ErrNotExist))
		_, err = store.Put(t.Context(), "k", bodyOf(nil), replicate.Condition{})
		is.True(strings.Contains(permanent(err), c.advice)) // put
		for _, err = range store.List(t.Context(), "", "") {
			is.True(strings.Contains(permanent(err), c.advice)) // list
		}
		is.True(strings.Contains(permanent(store.Delete(t.Context(), "k")), c.advice))      // delete
		is.True(strings.Contains(permanent(store.Delete(t.Context(), "k", "l")), c.advice)) // delete of many
	}
}

// TestConditionsNotImplemented: a store without conditional writes is refused
// by name, because replication over it would overwrite.
func TestConditionsNotImplemented(t *testing.T) {
	is := is.New(t)
	store := open(t, stub(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented.")
	}))
	for _, cond := range []replicate.Condition{ifAbsent, ifMatch("x")} {
		_, err := store.Put(t.Context(), "k", bodyOf(nil), cond)
		is.True(strings.Contains(permanent(err), "conditional writes"))
	}
}

// TestDeleteOfManyInPart: keys that could not be deleted are not passed over.
func TestDeleteOfManyInPart(t *testing.T) {
	is := is.New(t)
	reply := ""
	store := open(t, stub(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "<DeleteResult>"+reply+"</DeleteResult>")
	}))
	is.NoErr(store.Delete(t.Context(), "a", "b"))
	reply = "<Error><Key>driftdb/b</Key><Code>NoSuchKey</Code></Error>"
	is.NoErr(store.Delete(t.Context(), "a", "b"))
	reply += "<Error><Key>driftdb/a</Key><Code>InternalError</Code><Message>canary-secret-0123456789</Message></Error>"
	err := store.Delete(t.Context(), "a", "b")
	transient(t, err)
	is.True(strings.Contains(err.Error(), "driftdb/a") && !strings.Contains(err.Error(), "canary"))
	reply = "<Error><Key>driftdb/a</Key><Code>AccessDenied</Code></Error>"
	is.True(strings.Contains(permanent(store.Delete(t.Context(), "a", "b")), "s3:DeleteObject"))
}

// TestClockSkew: a wrong clock is put right by the server's answer, so that the
// engine's next attempt succeeds.
func TestClockSkew(t *testing.T) {
	is := is.New(t)
	serverNow := time.Now().Add(3 * time.Hour).UTC()
	var dates []time.Time
	store := open(t, stub(t, func(w http.ResponseWriter, r *http.Request) {
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		is.NoErr(err)
		dates = append(dates, at)
		w.Header().Set("Date", serverNow.Format(http.TimeFormat))
		if at.Sub(serverNow).Abs() > 15*time.Minute {
			answer(w, http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
			return
		}
		_, _ = io.WriteString(w, "data")
	}))
	_, err := read(t, store, "k")
	transient(t, err)
	got, err := read(t, store, "k")
	is.NoErr(err)
	is.Equal(string(got), "data")
	is.Equal(len(dates), 2)
}

// TestNoSourceOfCredentials: says what to set, and is tried again: roles of
// machines come late.
func TestNoSourceOfCredentials(t *testing.T) {
	is := is.New(t)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	_, err := read(t, open(t, s3store.Options{Endpoint: "http://127.0.0.1:1"}), "k")
	transient(t, err)
	is.True(strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID"))
}

// lax is a server with habits, in front of an S3 server that checks no
// signatures.
func lax(t *testing.T, habit func(w http.ResponseWriter, r *http.Request) (handled bool)) s3store.Options {
	t.Helper()
	inner := gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server()
	var writing sync.Mutex // between the check of a condition and the write it lets others write
	return stub(t, func(w http.ResponseWriter, r *http.Request) {
		if !habit(w, r) {
			// It would skip a key (see examples/embeddeds3); without it all are listed.
			q := r.URL.Query()
			q.Del("start-after")
			r.URL.RawQuery = q.Encode()
			if r.Method == http.MethodPut {
				writing.Lock()
				defer writing.Unlock()
			}
			inner.ServeHTTP(w, r)
		}
	})
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		habit func(http.ResponseWriter, *http.Request) bool
		want  string // part of the error, empty for none
		form  s3store.Conditional
	}{
		"none": {habit: func(http.ResponseWriter, *http.Request) bool { return false }},
		"ignores If-None-Match": {habit: func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-None-Match")
			return false
		}, want: "written twice"},
		"ignores If-Match": {habit: func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			return false
		}, want: "its condition, If-Match, did not hold"},
		"ignores If-Match, which is taken on trust": {habit: func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			return false
		}, form: s3store.ConditionalIfMatch, want: "the entity tag of an older version"},
		"has no conditions, as is said": {habit: func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			r.Header.Del("If-None-Match")
			return false
		}, form: s3store.ConditionalNone},
		"wants entity tags without quotes":              {habit: quotesRefused},
		"wants entity tags without quotes, as is said":  {habit: quotesRefused, form: s3store.ConditionalIfMatchUnquoted},
		"wants entity tags without quotes, unlike said": {habit: quotesRefused, form: s3store.ConditionalIfMatch, want: "leave it at ConditionalAuto"},
		"does not do conditions": {habit: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" {
				return false
			}
			answer(w, http.StatusNotImplemented, "NotImplemented", "")
			return true
		}, want: "conditional writes"},
		"unpacks objects": {habit: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || r.URL.Query().Has("list-type") || strings.HasSuffix(r.URL.Path, "-missing") {
				return false
			}
			_, _ = io.WriteString(w, "driftdb checks this bucket: 1")
			return true
		}, want: "decompresses"},
		"hides missing objects": {habit: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "-missing") {
				return false
			}
			answer(w, http.StatusForbidden, "AccessDenied", "Access Denied")
			return true
		}, want: "s3:ListBucket"},
		"lists nothing": {habit: func(w http.ResponseWriter, r *http.Request) bool {
			if !r.URL.Query().Has("list-type") {
				return false
			}
			_, _ = io.WriteString(w, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
			return true
		}, want: "not in the listing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			o := lax(t, test.habit)
			o.Conditional = test.form
			err := open(t, o).Check(t.Context())
			if test.want == "" {
				is.NoErr(err)
				return
			}
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), test.want))
			is.True(permanent(err) != "")
		})
	}
}

// quotesRefused is what Ceph RGW 16 does.
func quotesRefused(w http.ResponseWriter, r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("If-Match"), `"`) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, http.StatusPreconditionFailed, "PreconditionFailed", "")
		return true
	}
	return false
}

// TestCheckWithoutDelete: a writer that may not delete is a sensible one.
func TestCheckWithoutDelete(t *testing.T) {
	is := is.New(t)
	err := open(t, lax(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		answer(w, http.StatusForbidden, "AccessDenied", "Access Denied")
		return true
	})).Check(t.Context())
	is.True(errors.Is(err, s3store.ErrMayNotDelete))
}
