package s3store_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/s3store"
)

// What is asked of the server goes with each object that is begun, alone or in
// parts, and with nothing else.
func TestEncryptionAndClass(t *testing.T) {
	is := is.New(t)
	o, r := options(t, server(t, true)), &recorder{}
	o.Transport = r.wrap
	o.Encryption, o.StorageClass = s3store.ServerEncryption{Algorithm: "AES256"}, "STANDARD_IA"
	exercise(t, open(t, o))
	begun := 0
	for _, q := range r.seen {
		begins := q.Method == http.MethodPut && !q.URL.Query().Has("uploadId") || q.Method == http.MethodPost && q.URL.Query().Has("uploads")
		want := map[string]string{"X-Amz-Server-Side-Encryption": "AES256", "X-Amz-Storage-Class": "STANDARD_IA"}
		for name, value := range want {
			if !begins {
				value = ""
			}
			is.Equal(q.Header.Get(name), value)
		}
		if begins {
			begun++
			is.True(strings.Contains(q.Header.Get("Authorization"), "x-amz-server-side-encryption"))
		}
	}
	is.Equal(begun, 3) // small, small stream, parts

	var got http.Header
	kms := stub(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("ETag", `"1"`)
	})
	kms.Encryption = s3store.ServerEncryption{Algorithm: "aws:kms", KMSKeyID: "key-1"}
	put(t, open(t, kms), "k", []byte("x"))
	is.Equal(got.Get("X-Amz-Server-Side-Encryption"), "aws:kms")
	is.Equal(got.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"), "key-1")
	is.Equal(got.Get("X-Amz-Storage-Class"), "")

	for _, bad := range []func(*s3store.Options){
		func(o *s3store.Options) { o.Encryption.Algorithm = "rot13" },
		func(o *s3store.Options) { o.Encryption = s3store.ServerEncryption{Algorithm: "AES256", KMSKeyID: "x"} },
		func(o *s3store.Options) { o.Encryption = s3store.ServerEncryption{KMSKeyID: "x"} },
		func(o *s3store.Options) { o.StorageClass = "DEEP_ARCHIVE" },
		func(o *s3store.Options) { o.StorageClass = "a\r\nb: c" },
		func(o *s3store.Options) { o.UserAgent = "é" },
		func(o *s3store.Options) { o.Headers = map[string]string{"User-Agent": "x"} },
	} {
		o := options(t, server(t, false))
		bad(&o)
		_, err := s3store.New(t.Context(), bucket, o)
		is.True(err != nil)
	}
}

// Google Cloud Storage changes Accept-Encoding on the way: signed, the request
// would be refused. It is sent all the same, so that nothing decompresses.
func TestUnsignedAcceptEncoding(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		is := is.New(t)
		o, r := options(t, server(t, true)), &recorder{}
		o.Transport, o.UnsignedAcceptEncoding = r.wrap, unsigned
		exercise(t, open(t, o))
		gets := 0
		for _, q := range r.seen {
			signed := strings.Contains(q.Header.Get("Authorization"), "accept-encoding")
			is.True(!signed || !unsigned)
			if q.Method == http.MethodGet && !q.URL.Query().Has("list-type") {
				gets++
				is.Equal(q.Header.Get("Accept-Encoding"), "identity")
				is.Equal(signed, !unsigned)
			}
		}
		is.Equal(gets, 1)
	}
}

func TestUserAgent(t *testing.T) {
	is := is.New(t)
	o, r := options(t, server(t, false)), &recorder{}
	o.Transport, o.UserAgent = r.wrap, "my-app/1.2"
	exercise(t, open(t, o))
	for _, q := range r.seen {
		is.True(strings.HasSuffix(q.Header.Get("User-Agent"), " my-app/1.2"))
		is.True(strings.HasPrefix(q.Header.Get("User-Agent"), "aws-sdk-go-v2"))
	}
}

func TestURLOfServerOptions(t *testing.T) {
	is := is.New(t)
	_, o, err := s3store.ParseURL("s3://b/p?unsigned-accept-encoding=true&encryption=aws:kms&kms-key-id=k&storage-class=STANDARD_IA")
	is.NoErr(err)
	is.True(o.UnsignedAcceptEncoding)
	is.Equal(o.Encryption, s3store.ServerEncryption{Algorithm: "aws:kms", KMSKeyID: "k"})
	is.Equal(o.StorageClass, "STANDARD_IA")
	_, _, err = s3store.ParseURL("s3://b/p?unsigned-accept-encoding=maybe")
	is.True(err != nil)
}
