"""Uploads: pipelined WRITEs become chunks in the storage, and CLOSE commits the file.

OpenUploads                 the table of all uploads: which names are being written, and by whom
PlacedCommit                commits where the name leads to by then
Writer                      one handle: accepts WRITEs, commits at CLOSE
  └── UploadPipeline        moves the bytes to the storage
        ├── Assembly (pure) puts WRITEs that arrive in any order into chunks
        ├── BudgetShare     requests memory from the byte budget, by whole chunks
        ├── ChunkSender     sends several chunks at once, and keeps the first failure
        └── BaseFile        the file that is replaced, of which ranges may be kept
"""
