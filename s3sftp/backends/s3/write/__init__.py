"""Writes objects: uploads, their completion, and copies.

UploadOperations            the contract's operations: begin, chunk, complete, abort
  ├── MultipartUpload       the parts under way; JournaledUpload has its claim in the journal
  ├── complete_write        sends the request that makes the object visible, and verifies its outcome
  └── ObjectCopier          CopyObject, and UploadPartCopy for large files
"""
