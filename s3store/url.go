package s3store

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseURL reads where a store is from a text such as
//
//	s3://bucket/prefix?endpoint=https://minio.example:9000&region=eu-west-1
//
// The prefix may be left out, and means "driftdb" then; a slash alone means none.
// The query may have endpoint, region, path-style (auto, on, off), checksums
// (auto, when-supported, when-required), conditional
// (auto, if-match, if-match-unquoted, none), read-timeout (such as 30s), ca-file, unsigned-accept-encoding (true, false),
// encryption, kms-key-id and storage-class, which stand for the fields of Options.
// Credentials are refused: they come from the environment, a profile or the
// machine's role, and never stand in a command line.
func ParseURL(text string) (bucket string, o Options, err error) {
	u, err := url.Parse(text)
	if err != nil { // its text would repeat what was given
		return "", o, errors.New("s3store: not a URL: write s3://bucket/prefix?endpoint=…&region=…")
	}
	if err := fromURL(&o, u); err != nil {
		return "", Options{}, fmt.Errorf("s3store: %w", err)
	}
	return u.Host, o, nil
}

func fromURL(o *Options, u *url.URL) error {
	switch {
	case u.Scheme != "s3" || u.Opaque != "":
		return errors.New("a store's URL begins with s3://")
	case u.User != nil:
		return errors.New("a store's URL has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile")
	case u.Host == "" || u.Port() != "":
		return errors.New("the bucket's name stands after s3://; a server other than Amazon's is ?endpoint=https://host:port")
	case u.Fragment != "":
		return errors.New("a store's URL has no # part")
	}
	if o.Prefix = strings.Trim(u.Path, "/"); u.Path == "/" {
		o.Prefix = "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the part of the URL behind ? cannot be read")
	}
	for name, values := range query {
		if len(values) != 1 {
			return fmt.Errorf("the option %s stands twice in the URL", name)
		}
		if err := setOption(o, name, values[0]); err != nil {
			return err
		}
	}
	return nil
}

func setOption(o *Options, name, value string) (err error) {
	choose := func(names ...string) int {
		i := slices.Index(names, value)
		if i < 0 {
			err = fmt.Errorf("the option %s of the URL is one of %s", name, strings.Join(names, ", "))
		}
		return i
	}
	switch name {
	case "endpoint":
		o.Endpoint = value
	case "region":
		o.Region = value
	case "path-style":
		o.PathStyle = PathStyle(choose("auto", "on", "off"))
	case "checksums":
		o.Checksums = Checksums(choose("auto", "when-supported", "when-required"))
	case "conditional":
		o.Conditional = Conditional(choose(conditionalNames()...))
	case "read-timeout":
		if o.ReadTimeout, err = time.ParseDuration(value); err != nil {
			err = fmt.Errorf("the option %s of the URL is a duration, such as 30s", name)
		}
	case "ca-file":
		o.CAFile = value
	case "unsigned-accept-encoding":
		if o.UnsignedAcceptEncoding, err = strconv.ParseBool(value); err != nil {
			err = fmt.Errorf("the option %s of the URL is true or false", name)
		}
	case "encryption":
		o.Encryption.Algorithm = value
	case "kms-key-id":
		o.Encryption.KMSKeyID = value
	case "storage-class":
		o.StorageClass = value
	default:
		err = fmt.Errorf("the URL has an unknown option %q: there are endpoint, region, path-style, checksums, conditional, read-timeout, ca-file, unsigned-accept-encoding, encryption, kms-key-id and storage-class; drift takes unfenced too", name)
	}
	return err
}
