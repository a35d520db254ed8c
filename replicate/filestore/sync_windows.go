package filestore

// syncDir does nothing: NTFS writes names through its own journal, and a
// directory cannot be opened for it.
func (s *Store) syncDir(string) error { return nil }

// isNotDir reports that a part of a path is a file; Windows says that it does
// not exist.
func isNotDir(error) bool { return false }
