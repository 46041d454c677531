"""What `kol dlq` is made of: dead letters read, described, written to files, sent back."""
