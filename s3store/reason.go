package s3store

import (
	"fmt"
	"net/http"
)

// reason says what a person must do about the answer, "" if trying again may
// help. What is not known to be permanent is transient.
func (s *Store) reason(op op, a answer) string {
	if text, ok := s.reasonOfCode(op, a.code); ok {
		return text
	}
	switch a.status {
	case http.StatusMovedPermanently, http.StatusPermanentRedirect: // 307 passes: it is a new bucket's
		return "the bucket is in another region, or at another endpoint: correct Region or Endpoint"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "the server refuses: check the credentials, their permissions, and what stands between here and the server"
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return "the server does not do this: see the list of providers in docs/s3.md"
	}
	return ""
}

// reasonOfCode knows the codes by which servers tell their refusals apart. ok
// with an empty text: known to be transient, whatever the status.
func (s *Store) reasonOfCode(op op, code string) (text string, ok bool) {
	switch code {
	case "NoSuchBucket":
		return fmt.Sprintf("the bucket %q does not exist: create it or correct the name", s.bucket), true
	case "InvalidBucketName":
		return fmt.Sprintf("%q is not a legal name of a bucket", s.bucket), true
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidRegion":
		return "the bucket is in another region: set Region to the bucket's", true

	case "InvalidAccessKeyId", "XAdminUserNotFound": // the second is versitygw's
		return "the server does not know this access key id: check AccessKeyID or AWS_ACCESS_KEY_ID, and that Endpoint is the server they belong to", true
	case "SignatureDoesNotMatch":
		return "the secret access key does not fit the access key id, or a proxy on the way changes requests", true
	case "InvalidToken", "TokenRefreshRequired":
		return "the session token is not valid: check SessionToken or AWS_SESSION_TOKEN", true
	case "ExpiredToken":
		if s.staticKeys {
			return "the session token has expired: give a new one, or leave credentials to the default chain, which renews them", true
		}
		return "", true // the chain renews them
	case "AccountProblem", "AllAccessDisabled", "NotSignedUp", "InvalidPayer":
		return "the account that owns the bucket is not in order: see its console", true
	case "AccessDenied":
		return s.denied(op), true
	case "RequestTimeTooSkewed":
		return "", true // the SDK has learnt the server's time from the answer

	case "NotImplemented":
		return "the server does not do this: try Checksums: ChecksumsWhenRequired, and see the list of providers in docs/s3.md", true
	case "XAmzContentSHA256Mismatch", "InvalidArgument", "InvalidRequest", "MissingContentLength":
		return "the server does not take requests in this form: try Checksums: ChecksumsWhenRequired, and see the list of providers in docs/s3.md", true
	case "EntityTooLarge", "KeyTooLongError", "InvalidURI":
		return "the server cannot hold this object", true
	case "InvalidObjectState":
		return "the object is archived: restore it first, and keep lifecycle rules for archiving away from this prefix", true
	}
	return "", false
}

func (s *Store) denied(op op) string {
	text := fmt.Sprintf("grant %s on arn:aws:s3:::%s/%s*", op.permission(), s.bucket, s.prefix)
	switch op {
	case opList:
		text = fmt.Sprintf("grant %s on arn:aws:s3:::%s", op.permission(), s.bucket)
	case opGet, opHead:
		text += fmt.Sprintf("; if that is granted, the object may just be missing: S3 says so only to those who have s3:ListBucket on arn:aws:s3:::%s, so grant that too", s.bucket)
	}
	return text
}
