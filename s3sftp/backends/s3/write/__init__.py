"""Writing objects: PutObject, multipart uploads, CopyObject, DeleteObject, each with proof of its outcome."""
