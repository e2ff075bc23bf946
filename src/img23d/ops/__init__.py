"""What we compute: pure torch functions, one per equation; the references for every backend."""
