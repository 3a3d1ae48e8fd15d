mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name = "acme-exchange"
}

run "defaults_are_safe" {
  command = apply

  assert {
    condition     = aws_s3_bucket.this.bucket == "acme-exchange"
    error_message = "The bucket should have the name that was asked for."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Public access should be blocked in all four ways."
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "The bucket's owner should own all files, and ACLs should be off."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "Files should be encrypted with SSE-S3."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this[0].versioning_configuration[0].status == "Enabled"
    error_message = "Old versions should be kept."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id] == ["abort-unfinished-uploads", "expire-old-versions"]
    error_message = "Unfinished uploads and old versions should not stay for ever, and nothing else should be removed."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 7
    error_message = "Unfinished uploads should be aborted after a week."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && statement.Action == "s3:*" &&
      statement.Resource == ["arn:aws:s3:::acme-exchange", "arn:aws:s3:::acme-exchange/*"]
    ])
    error_message = "The policy should only refuse: everybody, everything, for the bucket and its files."
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "Requests without TLS should be refused."
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[1].Condition.NumericLessThan["s3:TlsVersion"] == "1.2"
    error_message = "Requests by TLS older than 1.2 should be refused."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.status == "Enabled"])
    error_message = "Rules should be in force."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[1].noncurrent_version_expiration[0].noncurrent_days == 90 && aws_s3_bucket_lifecycle_configuration.this.rule[1].expiration[0].expired_object_delete_marker
    error_message = "Old versions should be removed after 90 days, and with the last of them the mark that the file was removed."
  }

  assert {
    condition     = !aws_s3_bucket.this.object_lock_enabled && !aws_s3_bucket.this.force_destroy
    error_message = "No lock, and no removal of a bucket with files, unless asked for."
  }

  assert {
    condition     = length(aws_s3_bucket_logging.this) + length(aws_s3_bucket_notification.this) + length(aws_s3_bucket_replication_configuration.this) == 0
    error_message = "Logs, events and copies should be made only when asked for."
  }

  assert {
    condition     = output.s3_options == { bucket = "acme-exchange", region = "eu-central-1" }
    error_message = "s3_options should name bucket and region."
  }
}

run "everything_asked_for" {
  command = apply

  variables {
    tags              = { team = "files" }
    encryption        = { algorithm = "aws:kms", kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/one" }
    transitions       = [{ days = 30, storage_class = "STANDARD_IA" }, { days = 1, storage_class = "GLACIER_IR", prefix = "archive/" }]
    expire_files      = [{ prefix = "outbox/", days = 14 }]
    old_versions      = { expire_days = 10, keep = 2 }
    object_lock       = { mode = "COMPLIANCE", days = 5 }
    access_logs       = { bucket = "acme-logs" }
    eventbridge       = true
    replication       = { bucket_arn = "arn:aws:s3:::acme-copies", kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:key/two", account_id = "444455556666" }
    policy_statements = [{ Sid = "Mine", Effect = "Allow", Principal = { Service = "logging.s3.amazonaws.com" }, Action = "s3:PutObject", Resource = "arn:aws:s3:::acme-exchange/logs/*" }]
  }

  assert {
    condition = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled && (
      one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == var.encryption.kms_key_arn
    )
    error_message = "Files should be encrypted with the key, by a bucket key."
  }

  assert {
    condition = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id] == [
      "abort-unfinished-uploads", "move-to-standard-ia-0", "move-to-glacier-ir-1", "expire-files-0", "expire-old-versions",
    ]
    error_message = "Each wish should be a rule of its own."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.status == "Enabled"])
    error_message = "Rules should be in force."
  }

  assert {
    condition = aws_s3_bucket_lifecycle_configuration.this.rule[2].filter[0].prefix == "archive/" && (
      [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.transition).days if length(rule.transition) > 0] == [30, 1]
    )
    error_message = "A transition should be for its prefix, after its days."
  }

  assert {
    condition = aws_s3_bucket_lifecycle_configuration.this.rule[3].filter[0].prefix == "outbox/" && (
      aws_s3_bucket_lifecycle_configuration.this.rule[3].expiration[0].days == 14
    )
    error_message = "Files should be removed below that prefix alone, after those days."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[4].noncurrent_version_expiration[0].newer_noncurrent_versions == 2
    error_message = "The newest old versions should stay."
  }

  assert {
    condition     = aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].mode == "COMPLIANCE"
    error_message = "The lock should be of the kind that was asked for."
  }

  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled && aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].days == 5
    error_message = "Versions should be locked, from the creation of the bucket on."
  }

  assert {
    condition     = aws_s3_bucket_logging.this[0].target_bucket == "acme-logs" && aws_s3_bucket_notification.this[0].eventbridge
    error_message = "There should be access logs and events."
  }

  assert {
    condition = alltrue([
      one(aws_s3_bucket_replication_configuration.this[0].rule).status == "Enabled",
      one(aws_s3_bucket_replication_configuration.this[0].rule).filter[0].prefix == "",
      one(aws_s3_bucket_replication_configuration.this[0].rule).delete_marker_replication[0].status == "Enabled",
      one(aws_s3_bucket_replication_configuration.this[0].rule).destination[0].account == "444455556666",
      one(aws_s3_bucket_replication_configuration.this[0].rule).destination[0].storage_class == "STANDARD",
      one(aws_s3_bucket_replication_configuration.this[0].rule).source_selection_criteria[0].sse_kms_encrypted_objects[0].status == "Enabled",
      one(aws_s3_bucket_replication_configuration.this[0].rule).destination[0].encryption_configuration[0].replica_kms_key_id == var.replication.kms_key_arn,
      one(aws_s3_bucket_replication_configuration.this[0].rule).destination[0].access_control_translation[0].owner == "Destination",
    ])
    error_message = "Encrypted files should be copied, encrypted there with the key there, and owned by the owner there."
  }

  assert {
    condition = contains(
      [for each in jsondecode(aws_iam_role_policy.replication[0].policy).Statement : each.Action if each.Sid == "WriteCopies"][0],
      "s3:ObjectOwnerOverrideToBucketOwner",
    )
    error_message = "The role should be able to give the copies away."
  }

  assert {
    condition     = [for each in jsondecode(aws_s3_bucket_policy.this.policy).Statement : each.Sid] == ["Mine", "RefusePlainHttp", "RefuseOldTls"]
    error_message = "Statements of others should be added to the module's own."
  }
}

run "copies_that_stay" {
  command = apply

  variables {
    replication = { bucket_arn = "arn:aws:s3:::acme-copies", deletions = false }
  }

  assert {
    condition     = one(aws_s3_bucket_replication_configuration.this[0].rule).delete_marker_replication[0].status == "Disabled"
    error_message = "Files that are removed here should stay there."
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.replication[0].policy, "s3:ReplicateDelete") && !strcontains(aws_iam_role_policy.replication[0].policy, "kms:")
    error_message = "The role should be able to do nothing that is not asked for."
  }
}

run "without_versions" {
  command = apply

  variables {
    versioning = false
  }

  assert {
    condition     = length(aws_s3_bucket_versioning.this) == 0 && length(aws_s3_bucket_lifecycle_configuration.this.rule) == 1
    error_message = "There should be neither versions nor a rule for them."
  }
}

run "refuses_a_bad_name" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "Acme_Exchange"
  }
}

run "refuses_an_unknown_algorithm" {
  command         = plan
  expect_failures = [var.encryption]

  variables {
    encryption = { algorithm = "aws-kms" }
  }
}

run "refuses_a_key_that_nothing_uses" {
  command         = plan
  expect_failures = [var.encryption]

  variables {
    encryption = { kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/one" }
  }
}

run "refuses_an_unknown_class" {
  command         = plan
  expect_failures = [var.transitions]

  variables {
    transitions = [{ days = 30, storage_class = "STANDARD-IA" }]
  }
}

run "refuses_a_move_that_is_too_early" {
  command         = plan
  expect_failures = [var.transitions]

  variables {
    transitions = [{ days = 7, storage_class = "ONEZONE_IA" }]
  }
}

run "refuses_days_that_are_none" {
  command         = plan
  expect_failures = [var.abort_unfinished_uploads_days, var.old_versions, var.expire_files]

  variables {
    abort_unfinished_uploads_days = 0
    old_versions                  = { expire_days = 0 }
    expire_files                  = [{ prefix = "x/", days = 0 }]
  }
}

run "refuses_what_needs_versions" {
  command         = plan
  expect_failures = [var.object_lock, var.replication]

  variables {
    versioning  = false
    object_lock = { mode = "GOVERNANCE", days = 1 }
    replication = { bucket_arn = "arn:aws:s3:::acme-copies" }
  }
}

run "refuses_a_copy_without_a_key" {
  command         = plan
  expect_failures = [var.replication]

  variables {
    encryption  = { algorithm = "aws:kms", kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/one" }
    replication = { bucket_arn = "arn:aws:s3:::acme-copies" }
  }
}
