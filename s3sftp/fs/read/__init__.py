"""An open file that is read: reader ─ fetch (one ranged request); read_ahead and throughput (pure) decide how far ahead."""
