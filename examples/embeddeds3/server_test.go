package embeddeds3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/examples/embeddeds3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o embeddeds3.Options) *embeddeds3.Server {
	t.Helper()
	s, err := embeddeds3.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client is the SDK's, without anything of this module around it.
func client(s *embeddeds3.Server, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.Client(), Retryer: aws.NopRetryer{},
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKeyID(), secret, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})
}

func TestServes(t *testing.T) {
	for _, tls := range []bool{false, true} {
		is := is.New(t)
		s := start(t, embeddeds3.Options{TLS: tls, Bucket: "demo"})
		is.Equal(strings.HasPrefix(s.URL(), "https://127.0.0.1:"), tls)
		is.Equal(len(s.CAPEM()) > 0, tls)
		c := client(s, s.SecretAccessKey())
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("demo"), Key: aws.String("k"), Body: bytes.NewReader([]byte("data"))})
		is.NoErr(err)
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("demo"), Key: aws.String("k")})
		is.NoErr(err)
		data, err := io.ReadAll(out.Body)
		is.NoErr(errors.Join(err, out.Body.Close()))
		is.Equal(string(data), "data")
		is.Equal(s.Requests(), embeddeds3.Requests{Gets: 1, Puts: 1})
	}
}

func TestWrongSecret(t *testing.T) {
	is := is.New(t)
	s := start(t, embeddeds3.Options{Bucket: "demo"})
	_, err := client(s, "wrong").ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("demo")})
	var api smithy.APIError
	is.True(errors.As(err, &api))
	is.Equal(api.ErrorCode(), "SignatureDoesNotMatch")
	is.Equal(s.Requests().Lists, int64(1)) // refused ones count
}

// TestConditionalWritesAreOneStep: 8 puts if absent, one winner, 20 times. The
// bodies are large because the gap to be closed is as long as a copy of one.
func TestConditionalWritesAreOneStep(t *testing.T) {
	is := is.New(t)
	s := start(t, embeddeds3.Options{Bucket: "demo"})
	c := client(s, s.SecretAccessKey())
	body := make([]byte, 4<<20)
	for round := range 20 {
		var wg sync.WaitGroup
		var won, lost [8]bool
		for i := range won {
			wg.Go(func() {
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
					Bucket: aws.String("demo"), Key: aws.String(fmt.Sprint(round)), IfNoneMatch: aws.String("*"), Body: bytes.NewReader(body),
				})
				var api smithy.APIError
				won[i], lost[i] = err == nil, errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed"
			})
		}
		wg.Wait()
		n := 0
		for i := range won {
			is.True(won[i] != lost[i])
			if won[i] {
				n++
			}
		}
		is.Equal(n, 1)
	}
}

// TestStartAfter: the key to start after need not exist, with pages and without.
func TestStartAfter(t *testing.T) {
	is := is.New(t)
	s := start(t, embeddeds3.Options{Bucket: "demo"})
	c := client(s, s.SecretAccessKey())
	for i := range 9 {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("demo"), Key: aws.String(fmt.Sprintf("k%02d", i*10)), Body: strings.NewReader("x")})
		is.NoErr(err)
	}
	for after, want := range map[string]int{"": 9, "k": 9, "k00": 8, "k05": 8, "k10": 7, "k79": 1, "k80": 0, "z": 0} {
		for _, size := range []int32{1, 2, 3, 1000} {
			in := &s3.ListObjectsV2Input{Bucket: aws.String("demo"), Prefix: aws.String("k"), MaxKeys: aws.Int32(size)}
			if after != "" {
				in.StartAfter = aws.String(after)
			}
			var keys []string
			pages := s3.NewListObjectsV2Paginator(c, in)
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				is.NoErr(err)
				is.True(len(page.Contents) <= int(size))
				for _, item := range page.Contents {
					keys = append(keys, *item.Key)
				}
			}
			is.Equal(len(keys), want)
			for _, key := range keys {
				is.True(key > after)
			}
		}
	}
}

// TestTagOfAnUploadInParts is the one that a later GET shows.
func TestTagOfAnUploadInParts(t *testing.T) {
	is := is.New(t)
	s := start(t, embeddeds3.Options{Bucket: "demo"})
	c := client(s, s.SecretAccessKey())
	made, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("demo"), Key: aws.String("k")})
	is.NoErr(err)
	_, err = c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String("demo"), Key: aws.String("k"), UploadId: made.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	is.NoErr(err)
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String("demo"), Key: aws.String("k"), UploadId: made.UploadId})
	is.NoErr(err)
	done, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String("demo"), Key: aws.String("k"), UploadId: made.UploadId, MultipartUpload: completed(parts),
	})
	is.NoErr(err)
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("demo"), Key: aws.String("k")})
	is.NoErr(err)
	is.Equal(*done.ETag, *head.ETag)
}

// TestClose: the port is free, and a second server may start.
func TestClose(t *testing.T) {
	is := is.New(t)
	s, err := embeddeds3.Start(embeddeds3.Options{Bucket: "demo"})
	is.NoErr(err)
	c := client(s, s.SecretAccessKey())
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("demo")})
	is.NoErr(err)
	s.Close()
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("demo")})
	is.True(err != nil)
	s.Close() // twice is no harm
}

func completed(parts *s3.ListPartsOutput) *types.CompletedMultipartUpload {
	var done types.CompletedMultipartUpload
	for _, p := range parts.Parts {
		done.Parts = append(done.Parts, types.CompletedPart{ETag: p.ETag, PartNumber: p.PartNumber})
	}
	return &done
}
