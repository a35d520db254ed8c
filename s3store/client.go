package s3store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	smithymiddleware "github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// newClient makes the SDK's client, and returns what closes its idle
// connections. It sends nothing.
func newClient(ctx context.Context, o Options) (*s3.Client, func(), error) {
	if o.Client != nil {
		return o.Client, func() {}, nil
	}
	httpClient, err := newHTTPClient(o)
	if err != nil {
		return nil, nil, err
	}
	// A BuildableClient, because the configuration adds AWS_CA_BUNDLE to it.
	// No logger: looking for credentials would print to the standard error.
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient), config.WithLogger(logging.Nop{})}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, o.SessionToken)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	configured, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, nil, errors.New("the AWS configuration brought an HTTP client of its own")
	}
	transport := configured.GetTransport()
	cfg.HTTPClient = newPlainClient(transport, o.Transport)
	client := s3.NewFromConfig(cfg, func(so *s3.Options) {
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
		endpoint := aws.ToString(so.BaseEndpoint)
		if so.Region == "" && endpoint != "" {
			so.Region = defaultRegion
		}
		so.UsePathStyle = o.pathStyle(endpoint)
		so.ContinueHeaderThresholdBytes = -1 // the SDK sends Expect but never waits for the answer
		so.Logger = logging.Nop{}
	})
	if client.Options().Region == "" {
		return nil, nil, errors.New("no region: set Options.Region, AWS_REGION or a profile's region to that of the bucket")
	}
	return client, transport.CloseIdleConnections, nil
}

// own returns a copy of client that follows the store's rules: one attempt per
// call, checksums set in both directions, requests counted, credentials known
// so that errors can be cleaned of them.
func own(client *s3.Client, o Options, whenRequired bool, counters *counters, secrets *secrets) *s3.Client {
	return s3.New(client.Options(), func(so *s3.Options) {
		so.Retryer = aws.NopRetryer{}
		so.RetryMaxAttempts = 0
		// Both explicitly: a client that was not made by LoadDefaultConfig
		// would send and verify nothing.
		so.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
		so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		if whenRequired {
			so.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
		so.DisableLogOutputChecksumValidationSkipped = true
		so.ClientLogMode = 0 // it could print signed requests
		so.HTTPClient = &countingClient{next: so.HTTPClient, counters: counters}
		if so.Credentials != nil && !aws.IsCredentialsProvider(so.Credentials, (*aws.AnonymousCredentials)(nil)) {
			so.Credentials = &watchedCredentials{next: so.Credentials, secrets: secrets}
		}
		if len(o.Headers) > 0 {
			so.APIOptions = append(so.APIOptions, addHeaders(o.Headers))
		}
		if o.UnsignedAcceptEncoding {
			so.APIOptions = append(so.APIOptions, unsignedAcceptEncoding)
		}
		if o.UserAgent != "" {
			so.APIOptions = append(so.APIOptions, addUserAgent(o.UserAgent))
		}
	})
}

func addHeaders(headers map[string]string) func(*smithymiddleware.Stack) error {
	return func(stack *smithymiddleware.Stack) error {
		for name, value := range headers {
			if err := smithyhttp.SetHeaderValue(name, value)(stack); err != nil {
				return err
			}
		}
		return nil
	}
}

// unsignedAcceptEncoding takes Accept-Encoding away before a request is signed and
// puts it back afterwards: without it the transport would decompress objects.
func unsignedAcceptEncoding(stack *smithymiddleware.Stack) error {
	const header, signing = "Accept-Encoding", "Signing"
	var kept acceptEncodingKey
	err := stack.Finalize.Insert(smithymiddleware.FinalizeMiddlewareFunc("DriftTakeAcceptEncoding",
		func(ctx context.Context, in smithymiddleware.FinalizeInput, next smithymiddleware.FinalizeHandler) (smithymiddleware.FinalizeOutput, smithymiddleware.Metadata, error) {
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				ctx = context.WithValue(ctx, kept, r.Header.Get(header))
				r.Header.Del(header)
			}
			return next.HandleFinalize(ctx, in)
		}), signing, smithymiddleware.Before)
	if err != nil {
		return err
	}
	return stack.Finalize.Insert(smithymiddleware.FinalizeMiddlewareFunc("DriftPutAcceptEncoding",
		func(ctx context.Context, in smithymiddleware.FinalizeInput, next smithymiddleware.FinalizeHandler) (smithymiddleware.FinalizeOutput, smithymiddleware.Metadata, error) {
			if value, _ := ctx.Value(kept).(string); value != "" {
				if r, ok := in.Request.(*smithyhttp.Request); ok {
					r.Header.Set(header, value)
				}
			}
			return next.HandleFinalize(ctx, in)
		}), signing, smithymiddleware.After)
}

type acceptEncodingKey struct{}

func addUserAgent(text string) func(*smithymiddleware.Stack) error {
	return func(stack *smithymiddleware.Stack) error {
		return stack.Build.Add(smithymiddleware.BuildMiddlewareFunc("DriftUserAgent",
			func(ctx context.Context, in smithymiddleware.BuildInput, next smithymiddleware.BuildHandler) (smithymiddleware.BuildOutput, smithymiddleware.Metadata, error) {
				if r, ok := in.Request.(*smithyhttp.Request); ok {
					r.Header.Set("User-Agent", strings.TrimSpace(r.Header.Get("User-Agent")+" "+text))
				}
				return next.HandleBuild(ctx, in)
			}), smithymiddleware.After)
	}
}

func newHTTPClient(o Options) (*awshttp.BuildableClient, error) {
	client := awshttp.NewBuildableClient()
	if o.ReadTimeout > 0 {
		dialer := client.GetDialer()
		client = client.WithTransportOptions(func(t *http.Transport) {
			t.DialContext = progressDialer(dialer, o.ReadTimeout)
		})
	}
	if o.CAFile == "" {
		return client, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %q holds no certificate in PEM form", o.CAFile)
	}
	return client.WithTransportOptions(func(t *http.Transport) {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.TLSClientConfig.RootCAs = pool
	}), nil
}

// plainClient sends each request once and follows no redirect: a bucket in
// another region is an error to be read, and signed requests go to nobody else.
type plainClient struct{ transport http.RoundTripper }

func newPlainClient(transport http.RoundTripper, wrap func(http.RoundTripper) http.RoundTripper) plainClient {
	if wrap != nil {
		transport = wrap(transport)
	}
	return plainClient{transport}
}

// Do sends the request.
func (c plainClient) Do(r *http.Request) (*http.Response, error) { return c.transport.RoundTrip(r) }
