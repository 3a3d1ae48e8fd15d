"""Writing objects.

UploadOperations            what the contract asks for: begin, chunk, finish, abort
  ├── MultipartUpload       parts under way; JournaledUpload has its claim in the journal
  ├── complete_write        the request that makes the object visible, and proof of what became of it
  └── ObjectCopier          CopyObject, and UploadPartCopy for large files
"""
