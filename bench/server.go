package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/driftdb/driftdb/s3store"
)

// bucketName is the bucket of every experiment; each has its own prefixes.
const bucketName = "figures"

// server is the real S3 server.
type server struct {
	root     string // of the repository
	dir      string // data, keys, log
	endpoint string
	access   string
	secret   string
}

// startServer builds the pinned server if need be and starts it in dir.
func startServer(ctx context.Context, root, dir string) (*server, error) {
	s := &server{root: root, dir: dir}
	out, err := s.script(ctx, "start")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "S3_ENDPOINT":
			s.endpoint = value
		case "AWS_ACCESS_KEY_ID":
			s.access = value
		case "AWS_SECRET_ACCESS_KEY":
			s.secret = value
		}
	}
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(s.endpoint), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.access, s.secret, ""),
	})
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// stop ends the server.
func (s *server) stop() error {
	_, err := s.script(context.Background(), "stop")
	return err
}

func (s *server) script(ctx context.Context, verb string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, ".ci", "start-real-s3.sh"), verb, s.dir)
	cmd.Env = append(os.Environ(), "S3_SERVER=versitygw", "S3_TLS=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	err := cmd.Run()
	return out.String(), err
}

// openStore opens the bucket through a proxy.
func openStore(ctx context.Context, endpoint, access, secret, prefix string) (*s3store.Store, error) {
	return s3store.New(ctx, bucketName, s3store.Options{Endpoint: endpoint, AccessKeyID: access, SecretAccessKey: secret, Prefix: prefix})
}
