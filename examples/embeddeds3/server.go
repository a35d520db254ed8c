package embeddeds3

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rclone/gofakes3"
)

// Options of a Server. The zero value serves plain http without a bucket.
type Options struct {
	// TLS serves https with a certificate made for this server; Server.CAPEM
	// and Server.Client trust it. The AWS SDK sends checksums in another way
	// over https, so tests should cover both.
	TLS bool

	// Bucket is created at the start. Empty creates none.
	Bucket string
}

// Server is a running S3 server on a loopback port.
type Server struct {
	http      *http.Server
	url       string
	id        string
	secret    string
	caPEM     []byte
	tls       *tls.Config // of a client that trusts the server; nil without TLS
	counter   counter
	served    chan struct{}  // closed when Serve has returned
	conns     sync.WaitGroup // connections whose goroutine has not ended
	transport *http.Transport
}

// Start serves S3 on a free port of 127.0.0.1 until Close. Requests must be
// signed with AccessKeyID and SecretAccessKey; any region will do.
func Start(o Options) (*Server, error) {
	store := newBackend()
	if o.Bucket != "" {
		if err := store.CreateBucket(context.Background(), o.Bucket); err != nil {
			return nil, fmt.Errorf("embedded S3: create bucket %q: %w", o.Bucket, err)
		}
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("embedded S3: %w", err)
	}
	s := &Server{
		id:     "embedded-" + rand.Text(),
		secret: rand.Text() + rand.Text(),
		url:    "http://" + listener.Addr().String(),
		served: make(chan struct{}),
	}
	if o.TLS {
		if listener, err = s.secure(listener); err != nil {
			return nil, err
		}
	}
	s.transport = &http.Transport{TLSClientConfig: s.tls}
	handler := gofakes3.New(store, gofakes3.WithV4Auth(map[string]string{s.id: s.secret})).Server()
	s.http = &http.Server{
		Handler:           s.counter.count(handler),
		ReadHeaderTimeout: 30 * time.Second,
		ConnState:         s.connState,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			_ = listener.Close() // nobody is left to serve it; requests see the refusal
		}
	}()
	return s, nil
}

// secure wraps the listener in TLS under a new certificate.
func (s *Server) secure(listener net.Listener) (net.Listener, error) {
	cert, caPEM, pool, err := selfSigned()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded S3: make a certificate: %w", err), listener.Close())
	}
	s.caPEM = caPEM
	s.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	s.url = "https://" + listener.Addr().String()
	return tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"}, // as S3 does
	}), nil
}

func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// Close ends the server and drops what it holds. It cuts the connections of
// requests under way and waits until their goroutines have ended.
func (s *Server) Close() {
	_ = s.http.Close() // only the listener's close can err, and it is gone either way
	<-s.served
	s.conns.Wait()
	s.transport.CloseIdleConnections()
}

// URL is the endpoint: scheme, host and port.
func (s *Server) URL() string { return s.url }

// AccessKeyID is the id of the server's only key, made at random.
func (s *Server) AccessKeyID() string { return s.id }

// SecretAccessKey is the secret of the server's only key, made at random.
func (s *Server) SecretAccessKey() string { return s.secret }

// CAPEM is the certificate that a client must trust, in PEM form; nil without
// TLS.
func (s *Server) CAPEM() []byte { return s.caPEM }

// Client returns an HTTP client that trusts the server's certificate.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.transport} }

// Requests returns how many requests the server has seen so far.
func (s *Server) Requests() Requests { return s.counter.requests() }
