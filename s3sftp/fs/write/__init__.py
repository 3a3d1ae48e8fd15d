"""An open file that is written: writer ─ upload_pipeline ─ assembly (pure) and chunk_sender; open_uploads is the table of all."""
