package s3store

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Options of a Store. The zero value is good for a bucket of Amazon S3 whose
// region and credentials are in the environment.
type Options struct {
	// Prefix is put before every key, with a slash between. "/" means none.
	// Defaults to "driftdb".
	Prefix string

	// Region of the bucket. Defaults to the environment's or the profile's,
	// and to us-east-1 where Endpoint is set.
	Region string

	// Endpoint is the URL of a server other than Amazon's: scheme, host, port.
	// Defaults to AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or Amazon S3.
	Endpoint string

	// PathStyle says where the bucket's name stands in a request. Defaults to
	// PathStyleAuto.
	PathStyle PathStyle

	// AccessKeyID, SecretAccessKey and SessionToken (optional) are static
	// credentials. Defaults to the SDK's chain.
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string

	// Client is used instead of one made from the options above and
	// ReadTimeout, CAFile and Transport below, which must be empty then. The
	// store works on a copy that makes one attempt per call.
	Client *s3.Client

	// Checksums says which checksums travel with requests. Defaults to
	// ChecksumsAuto.
	Checksums Checksums

	// Conditional says how the server does conditional writes. Defaults to
	// ConditionalAuto.
	Conditional Conditional

	// Multipart sets the buffers of large uploads.
	Multipart Multipart

	// ReadTimeout is how long a connection may neither take nor deliver a byte
	// before the call fails. Defaults to 60 s; below 0 is none.
	ReadTimeout time.Duration

	// CAFile names a PEM file with certificates to trust besides the system's.
	CAFile string

	// Transport wraps the HTTP transport, for tracing or proxies. Requests are
	// signed already when they come to it.
	Transport func(http.RoundTripper) http.RoundTripper

	// Headers are sent with every request and are signed, for servers that ask
	// for them (Tigris: X-Tigris-Consistent). No credentials: use the fields above.
	Headers map[string]string

	// UnsignedAcceptEncoding leaves Accept-Encoding out of the signature. Google
	// Cloud Storage changes that header on the way, and refuses its signature.
	UnsignedAcceptEncoding bool

	// Encryption asks the server to encrypt what it stores. Defaults to what the
	// bucket says.
	Encryption ServerEncryption

	// StorageClass of the objects that are put, such as "STANDARD_IA" or
	// "INTELLIGENT_TIERING". Defaults to the bucket's. Classes that must be
	// restored before a read are refused.
	StorageClass string

	// UserAgent is added to the User-Agent of every request, such as "my-app/1.2".
	UserAgent string

	// Logger gets a line where the store has coped with something by itself: a
	// read that broke off and goes on, a server with another form of If-Match.
	// Defaults to none.
	Logger *slog.Logger
}

// ServerEncryption is encryption at rest, by the server. The zero value leaves it
// to the bucket.
type ServerEncryption struct {
	// Algorithm is "AES256" (keys of S3), "aws:kms" or "aws:kms:dsse".
	Algorithm string

	// KMSKeyID is the key's ARN or id, for the algorithms of KMS. Defaults to the
	// account's own key for S3.
	KMSKeyID string
}

// Multipart sets how bodies of unknown size, or larger than PartSize, are sent.
// What replicate stores is read where it lies, part by part, and takes no memory here. A
// body of unknown size, or one that cannot be read at any place (io.ReaderAt), is
// buffered: PartSize × (Concurrency + 2) at most, 15 MiB by default. Objects of more than
// 48 GiB have larger parts, for S3 takes 10,000 of them.
type Multipart struct {
	// PartSize in bytes, at least 5 MiB. Parts grow as needed where Body.Size is known,
	// as it is of everything that replicate stores: 21 MiB for an object of 200 GiB.
	// Defaults to 5 MiB.
	PartSize int64

	// Concurrency is how many parts are sent at once. Defaults to 1, which leaves most of
	// the line to the batches that go on meanwhile.
	Concurrency int
}

// PathStyle says where the bucket's name stands in a request.
type PathStyle int

const (
	// PathStyleAuto is PathStyleOn where Endpoint is an IP address, localhost
	// or a name without a dot, and PathStyleOff elsewhere.
	PathStyleAuto PathStyle = iota
	// PathStyleOn requests https://endpoint/bucket/key.
	PathStyleOn
	// PathStyleOff requests https://bucket.endpoint/key.
	PathStyleOff
)

// Checksums says which checksums travel with requests.
type Checksums int

const (
	// ChecksumsAuto is ChecksumsWhenSupported on Amazon S3 and
	// ChecksumsWhenRequired on any other server.
	ChecksumsAuto Checksums = iota
	// ChecksumsWhenSupported sends the SDK's CRC32 with every upload, over https
	// as a trailer, and verifies it on downloads. Many servers refuse it.
	ChecksumsWhenSupported
	// ChecksumsWhenRequired sends Content-MD5 with every upload instead, which
	// every server knows.
	ChecksumsWhenRequired
)

const (
	defaultPrefix      = "driftdb"
	defaultRegion      = "us-east-1" // what compatible servers expect unless told otherwise
	defaultReadTimeout = time.Minute
	defaultPartSize    = minPartSize
	defaultConcurrency = 1
	minPartSize        = 5 << 20
	maxParts           = 10_000
	maxObject          = 5 << 40 // bytes, of S3
	maxKey             = 1024    // bytes, of S3
)

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	o.Prefix = strings.TrimRight(o.Prefix, "/")
	if o.Prefix != "" {
		o.Prefix += "/"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = defaultReadTimeout
	}
	if o.Multipart.PartSize == 0 {
		o.Multipart.PartSize = defaultPartSize
	}
	if o.Multipart.Concurrency == 0 {
		o.Multipart.Concurrency = defaultConcurrency
	}
	return o
}

// validate reports everything that is wrong with the options as they were
// given, before defaults.
func (o Options) validate(bucket string) error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(bucket != "", "the bucket's name is empty")
	check(!strings.ContainsAny(bucket, "/?#%\\ "), "bucket %q is not a bucket's name: give the name alone, without s3:// or a path", bucket)
	if err := validPrefix(o.Prefix); err != nil {
		errs = append(errs, err)
	}
	if err := validEndpoint(o.Endpoint); err != nil {
		errs = append(errs, err)
	}
	check((o.AccessKeyID == "") == (o.SecretAccessKey == ""), "AccessKeyID and SecretAccessKey go together: set both or none")
	check(o.SessionToken == "" || o.AccessKeyID != "", "SessionToken needs AccessKeyID and SecretAccessKey")
	check(o.PathStyle >= PathStyleAuto && o.PathStyle <= PathStyleOff, "unknown PathStyle %d", o.PathStyle)
	check(o.Checksums >= ChecksumsAuto && o.Checksums <= ChecksumsWhenRequired, "unknown Checksums %d", o.Checksums)
	check(o.Conditional >= ConditionalAuto && o.Conditional <= ConditionalNone, "unknown Conditional %d", o.Conditional)
	check(o.Multipart.PartSize == 0 || o.Multipart.PartSize >= minPartSize, "Multipart.PartSize is %d bytes; S3 wants at least %d", o.Multipart.PartSize, minPartSize)
	check(o.Multipart.Concurrency >= 0, "Multipart.Concurrency is %d", o.Multipart.Concurrency)
	switch o.Encryption.Algorithm {
	case "", "AES256":
		check(o.Encryption.KMSKeyID == "", "Encryption.KMSKeyID needs Algorithm aws:kms or aws:kms:dsse")
	case "aws:kms", "aws:kms:dsse":
	default:
		check(false, "unknown Encryption.Algorithm %q: there are AES256, aws:kms and aws:kms:dsse", o.Encryption.Algorithm)
	}
	check(o.StorageClass != "GLACIER" && o.StorageClass != "DEEP_ARCHIVE", "StorageClass %s cannot be read without restoring each object first", o.StorageClass)
	for what, text := range map[string]string{"StorageClass": o.StorageClass, "Encryption.KMSKeyID": o.Encryption.KMSKeyID, "UserAgent": o.UserAgent} {
		check(!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }), "%s holds a character that is none of a header", what)
	}
	for name := range o.Headers {
		check(validHeader(name), "%q is not the name of a header that may be set", name)
	}
	if o.Client != nil {
		check(o.Region == "" && o.Endpoint == "" && o.AccessKeyID == "" && o.PathStyle == PathStyleAuto && o.ReadTimeout == 0 && o.CAFile == "" && o.Transport == nil,
			"with Client, set Region, Endpoint, PathStyle, credentials, ReadTimeout, CAFile and Transport on that client")
	}
	return errors.Join(errs...)
}

func validPrefix(prefix string) error {
	bad := func(why string) error { return fmt.Errorf("prefix %q %s", prefix, why) }
	trimmed := strings.TrimRight(prefix, "/")
	switch {
	case trimmed == "":
		return nil
	case !utf8.ValidString(prefix):
		return bad("is not UTF-8")
	case strings.HasPrefix(prefix, "/"):
		return bad("begins with a slash")
	case len(prefix) > maxKey/2:
		return fmt.Errorf("prefix has %d bytes; %d is the limit", len(prefix), maxKey/2)
	case strings.ContainsFunc(prefix, unicode.IsControl):
		return bad("holds a control character")
	}
	for part := range strings.SplitSeq(trimmed, "/") {
		if part == "" || part == "." || part == ".." {
			return bad("holds an empty part, . or ..")
		}
	}
	return nil
}

// validEndpoint never shows the URL whole: it may hold a password by mistake.
func validEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return errors.New("the endpoint is not a URL: give scheme, host and port, as https://s3.example.com:9000")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("the endpoint needs scheme and host, as https://s3.example.com:9000")
	case u.User != nil:
		return errors.New("the endpoint holds a user name: credentials go into AccessKeyID and SecretAccessKey")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the endpoint holds a query or a fragment: give scheme, host and port")
	}
	return nil
}

// validHeader refuses headers that would break the request or its signature.
func validHeader(name string) bool {
	lower := strings.ToLower(name)
	switch lower {
	case "", "user-agent", "x-amz-server-side-encryption", "x-amz-storage-class", "host", "authorization", "content-length", "content-md5", "content-type", "accept-encoding", "if-match", "if-none-match", "expect", "range":
		return false
	}
	return !strings.HasPrefix(lower, "x-amz-content-sha256") && !strings.HasPrefix(lower, "x-amz-date") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r >= 0x7f })
}

// pathStyle decides for a client whose endpoint is host: empty for Amazon's.
func (o Options) pathStyle(endpoint string) bool {
	switch o.PathStyle {
	case PathStyleOn:
		return true
	case PathStyleOff:
		return false
	}
	host := hostOf(endpoint)
	return host != "" && (net.ParseIP(host) != nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost"))
}

// whenRequired says whether the SDK's default checksums stay away and
// Content-MD5 is sent instead.
func (o Options) whenRequired(endpoint string) bool {
	switch o.Checksums {
	case ChecksumsWhenSupported:
		return false
	case ChecksumsWhenRequired:
		return true
	}
	return !amazon(endpoint)
}

// amazon says whether an endpoint is one of Amazon S3, as the empty one is.
func amazon(endpoint string) bool {
	host := hostOf(endpoint)
	return host == "" || strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}

func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
