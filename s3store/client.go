package s3store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	smithymiddleware "github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// newClient makes the SDK's client. It sends nothing.
func newClient(ctx context.Context, o Options) (*s3.Client, error) {
	if o.Client != nil {
		return o.Client, nil
	}
	httpClient, err := newHTTPClient(o)
	if err != nil {
		return nil, err
	}
	// A BuildableClient, because the configuration adds AWS_CA_BUNDLE to it.
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient)}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, o.SessionToken)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if httpClient, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok && o.Transport != nil {
		if cfg.HTTPClient, err = wrapTransport(httpClient, o.Transport); err != nil {
			return nil, err
		}
	}
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
		return nil, errors.New("no region: set Options.Region, AWS_REGION or a profile's region to that of the bucket")
	}
	return client, nil
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

func newHTTPClient(o Options) (*awshttp.BuildableClient, error) {
	client := awshttp.NewBuildableClient()
	if o.ReadTimeout > 0 {
		dialer := client.GetDialer()
		client = client.WithTransportOptions(func(t *http.Transport) {
			t.DialContext = progressDialer(dialer, o.ReadTimeout)
		}).WithReadTimeout(o.ReadTimeout)
	} else {
		client = client.WithReadTimeout(0)
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

// wrapTransport keeps the client's rule on redirects and its timeouts.
func wrapTransport(b *awshttp.BuildableClient, wrap func(http.RoundTripper) http.RoundTripper) (aws.HTTPClient, error) {
	frozen, ok := b.Freeze().(*http.Client)
	if !ok {
		return nil, errors.New("this version of the AWS SDK does not let Options.Transport wrap its HTTP client")
	}
	client := *frozen
	client.Transport = wrap(client.Transport)
	return &client, nil
}

// progressDialer makes connections on which a write counts as progress. The
// SDK's read timeout alone would cut an upload that takes longer than it to
// send, while the server has nothing to say yet.
func progressDialer(d *net.Dialer, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &progressConn{Conn: conn, timeout: timeout}, nil
	}
}

type progressConn struct {
	net.Conn
	timeout time.Duration
}

func (c *progressConn) Write(p []byte) (int, error) {
	var done int
	// In pieces, so that a large write on a slow line is seen to move.
	for done < len(p) || len(p) == 0 {
		if err := c.Conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(p[done:min(len(p), done+64<<10)])
		done += n
		if err != nil || len(p) == 0 {
			return done, err
		}
	}
	return done, nil
}
