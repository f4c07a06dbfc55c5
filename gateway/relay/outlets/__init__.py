"""Ways out of the relay, one file each."""
