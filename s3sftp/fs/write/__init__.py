"""An open file that is written.

OpenUploads                 the table of all uploads: which names are being written, and by whom
Writer                      one handle: WRITEs in, one commit at CLOSE
  └── UploadPipeline        the way of the bytes, within the byte budget
        ├── Assembly (pure) puts WRITEs of any order together to chunks
        ├── ChunkSender     sends several chunks at once, and keeps the first failure
        └── BaseFile        the file that is replaced, of which ranges may be kept
"""
