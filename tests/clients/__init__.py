"""Real clients as processes, against the real server as a process."""
