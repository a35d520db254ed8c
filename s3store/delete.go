package s3store

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithymiddleware "github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/driftdb/driftdb/replicate"
)

// deleteMany is how many keys one DeleteObjects takes.
const deleteMany = 1000

// Delete removes the objects, a request for each 1,000. When some cannot be
// deleted the others are all the same; the error is that of the first.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := s.start(ctx, key); err != nil {
			return s.fail(ctx, opDelete, key, err)
		}
	}
	if len(keys) == 1 {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(keys[0])})
		if err == nil || isMissing(err) {
			return nil
		}
		return s.fail(ctx, opDelete, keys[0], err)
	}
	for chunk := range slices.Chunk(keys, deleteMany) {
		if ctx.Err() != nil {
			return s.fail(ctx, opDelete, chunk[0], ctx.Err())
		}
		if err := s.deleteChunk(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) deleteChunk(ctx context.Context, keys []string) error {
	objects := make([]types.ObjectIdentifier, len(keys))
	for i, key := range keys {
		objects[i].Key = s.key(key)
	}
	in := &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)}}
	var opts []func(*s3.Options)
	if s.whenRequired {
		opts = append(opts, s3.WithAPIOptions(md5InsteadOfChecksum))
	}
	out, err := s.client.DeleteObjects(ctx, in, opts...)
	if err != nil {
		return s.fail(ctx, opDelete, keys[0], err)
	}
	return s.refused(out.Errors)
}

// refused renders the first of the per-key errors of a DeleteObjects that is
// one.
func (s *Store) refused(all []types.Error) error {
	all = slices.DeleteFunc(slices.Clone(all), func(e types.Error) bool { return aws.ToString(e.Code) == "NoSuchKey" })
	if len(all) == 0 {
		return nil
	}
	a := answer{code: aws.ToString(all[0].Code), message: aws.ToString(all[0].Message)}
	err := fmt.Errorf("s3 delete %q in bucket %q, and %d others: %s: %s",
		aws.ToString(all[0].Key), s.bucket, len(all)-1, s.secrets.clean(a.code), s.secrets.clean(a.message))
	if reason := s.reason(opDelete, a); reason != "" {
		return replicate.Permanent(err, reason)
	}
	return err
}

func isMissing(err error) bool {
	a, ok := answerOf(err)
	return ok && a.code == "NoSuchKey"
}

// md5InsteadOfChecksum gives a DeleteObjects the digest that S3 asked for
// before it knew others: the SDK sends a CRC32 with it even where the option
// says only what is required, and servers refuse that.
func md5InsteadOfChecksum(stack *smithymiddleware.Stack) error {
	for _, id := range []string{"AWSChecksum:SetupInputContext", "AWSChecksum:ComputeInputPayloadChecksum", "addInputChecksumTrailer"} {
		_, _ = stack.Initialize.Remove(id) // each is in one of the two steps, if this SDK has it
		_, _ = stack.Finalize.Remove(id)
	}
	return smithyhttp.AddContentChecksumMiddleware(stack)
}
