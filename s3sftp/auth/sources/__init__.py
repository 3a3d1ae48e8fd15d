"""What sources of users outside the configuration share: the HTTP hook, and tables and secrets of AWS."""
