"""Sinks in AWS: SQS, SNS and EventBridge."""
